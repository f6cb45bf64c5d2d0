// The entry of @ingot/testkit: what tests, benchmarks and the example need to stand on.
export { freePort } from './free-port.ts';
export { buildImage, buildIndex, digestOf } from './image.ts';
export type { Blob, Image, ImageOptions, ImagePlatform, IndexImage } from './image.ts';
export { pushImage, pushIndex, putBlob, putManifest } from './push.ts';
export type { PushTarget } from './push.ts';
export { registryCredentials, startRegistry } from './registry.ts';
export type { RunningRegistry } from './registry.ts';
export { SimulatedClock } from './simulated-clock.ts';
export { dir, file, hardLink, opaque, symlink, whiteout, writeTar } from './tar.ts';
export type { TarEntry } from './tar.ts';
export { tempDir } from './temp-dir.ts';
export type { TempDir } from './temp-dir.ts';
