import { randomUUID } from 'node:crypto';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import { builder as proto } from '@ingot/contracts';
import { IngotError } from '@ingot/daemon-kit';

const { BuildState } = proto;

/** builderd as the gateway sees it: the real contract; how a build goes is scripted. */
export class FakeBuilder {
  /** By idempotency key. */
  readonly builds = new Map<string, proto.Build>();
  lines = ['pulling', 'writing'];
  config: MessageInitShape<typeof proto.ImageConfigSchema> = {
    entrypoint: ['/app'],
    cmd: ['serve'],
    env: ['PATH=/bin'],
    exposedPorts: [3000],
  };
  /** Set, and builds fail with it. */
  failure: MessageInitShape<typeof proto.BuildFailureSchema> | undefined;
  /** Builds wait for it after their first line. */
  gate: Promise<void> = Promise.resolve();
  /** Called before each method; throw or wait in it. */
  before: (method: string) => Promise<void> | void = () => undefined;

  #find(id: string): proto.Build {
    const found = [...this.builds.values()].find((build) => build.id === id);
    if (!found) throw new IngotError('build_not_found', `there is no build ${id}`);
    return found;
  }

  readonly service: ServiceImpl<typeof proto.BuilderService> = {
    buildFromImage: async ({ tenantId, image, idempotencyKey }) => {
      await this.before('buildFromImage');
      const known = this.builds.get(idempotencyKey);
      if (known) return known;
      const build = create(proto.BuildSchema, {
        ...{ id: randomUUID(), tenantId, image, state: BuildState.RUNNING },
      });
      this.builds.set(idempotencyKey, build);
      void this.gate.then(() => this.#finish(build));
      return { ...build };
    },
    getBuild: async ({ buildId }) => {
      await this.before('getBuild');
      return this.#find(buildId);
    },
    listBuilds: () => ({ builds: [...this.builds.values()], nextPageToken: '' }),
    streamBuildLogs: ({ buildId }) => this.#log(buildId),
  };

  #finish(build: proto.Build): void {
    if (this.failure) {
      build.state = BuildState.FAILED;
      build.failure = create(proto.BuildFailureSchema, this.failure);
      return;
    }
    build.state = BuildState.SUCCEEDED;
    build.rootfsAssetId = randomUUID();
    build.resolvedImage = `${build.image}@sha256:${'0'.repeat(64)}`;
    build.config = create(proto.ImageConfigSchema, this.config);
  }

  async *#log(buildId: string): AsyncGenerator<proto.BuildLog> {
    this.#find(buildId);
    await this.before('streamBuildLogs');
    for (const [index, line] of this.lines.entries()) {
      if (index > 0) await this.gate;
      yield create(proto.BuildLogSchema, { line });
    }
    await this.gate;
  }
}
