import { testAssetStore } from '../conformance.ts';
import { FakeAssetStore } from './fake-asset-store.ts';

testAssetStore('fake', () => Promise.resolve(new FakeAssetStore()));
