// The entry of @ingot/contracts: one namespace per proto package, as in proto/ingot/<daemon>/v1.
export * as asset from '../gen/ingot/asset/v1/asset_pb.js';
export * as billing from '../gen/ingot/billing/v1/billing_pb.js';
export * as builder from '../gen/ingot/builder/v1/builder_pb.js';
export * as error from '../gen/ingot/error/v1/error_pb.js';
export * as gateway from '../gen/ingot/gateway/v1/gateway_pb.js';
export * as metal from '../gen/ingot/metal/v1/metal_pb.js';
export { hashSamples } from './hash-samples.ts';
