import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { IngotError } from '@ingot/daemon-kit';
import type { UnpackedLayer } from '../layer-store.ts';

const chunkBytes = 1024 * 1024;

/** Opens an uncompressed tar for reading at any place. */
export async function openUnpackedLayer(path: string, digest: string): Promise<UnpackedLayer> {
  const file = await open(path, 'r');
  const read = async (offset: number, length: number): Promise<Buffer> => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  };
  return {
    digest,
    sizeBytes: (await file.stat()).size,
    stream: () => createReadStream(path, { highWaterMark: chunkBytes }),
    read,
    content: async function* ({ offset, size }) {
      for (let at = 0; at < size;) {
        const chunk = await read(offset + at, Math.min(chunkBytes, size - at));
        if (chunk.length === 0) {
          throw new IngotError('image_malformed', `layer ${digest} ends inside a file`, {
            remedy: 'build the image again and push it',
          });
        }
        at += chunk.length;
        yield chunk;
      }
    },
    close: () => file.close(),
  };
}
