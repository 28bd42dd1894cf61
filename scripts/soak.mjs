// `npm run soak [mesh|delivery|sessions]`: a running mesh [or durable delivery, or live sessions] under random faults, for SOAK_MINUTES [10], from SEED [a random
// one, which is printed].

import { join } from 'node:path'
import { become, ensureInstalled, fail, findNode, root } from './bootstrap.mjs'

ensureInstalled()
const SOAKS = { mesh: 'soak.ts', delivery: 'delivery-soak.ts', sessions: 'sessions-soak.ts' }
const [what = 'mesh'] = process.argv.slice(2)
if (!(what in SOAKS)) fail(`no soak named ${what}: there are ${Object.keys(SOAKS).join(', ')}`)
become(findNode(), [join(root, 'tests', 'soak', SOAKS[what])])
