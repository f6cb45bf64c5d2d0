/** An uncompressed layer that can be read through and looked into. */
export interface LayerTar {
  readonly digest: string;
  stream(): AsyncIterable<Uint8Array>;
  /** `length` bytes at `offset`, or what there is of them. */
  read(offset: number, length: number): Promise<Buffer>;
}
