// `npm run soak`: a running mesh under random faults, for SOAK_MINUTES [10], from SEED [a random one, which is printed].

import { join } from 'node:path'
import { become, ensureInstalled, findNode, root } from './bootstrap.mjs'

ensureInstalled()
become(findNode(), [join(root, 'tests', 'soak', 'soak.ts')])
