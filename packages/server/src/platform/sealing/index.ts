export { loadMasterKeys, type MasterKeySource, masterKeyProblem } from './master-key.ts'
export { createSealer, type SealedFor, type Sealer } from './sealer.ts'
