// `npm start`: a live mesh with two small services behind it.

import { join } from 'node:path'
import { become, ensureInstalled, findNode, root } from './bootstrap.mjs'

ensureInstalled()
become(findNode(), [join(root, 'examples', 'first-mesh', 'main.ts'), ...process.argv.slice(2)])
