// Folders that could run and that no deployment names, as parts: they have a manifest, and a Dockerfile, a script or a file that starts them. Where nothing is
// deployed and nothing says how to run, every folder with a manifest is one.

import type { Loc } from '../model/evidence.ts'
import type { Configuration, Manifest } from '../repository/configuration.ts'
import { folderOf, isBelow, join } from '../repository/paths.ts'
import type { FileIndex } from '../repository/repository.ts'
import type { Part } from './part.ts'

const STARTERS = [
  'main.py',
  'app.py',
  'server.py',
  'manage.py',
  'wsgi.py',
  'asgi.py',
  'app/main.py',
  'src/main.py',
  'Procfile',
]
const LIBRARY = /^(libs?|sdks?|playground|examples?|templates?|tools|storybook)$/
/** A script that starts something that stays, and one that only builds or watches. */
const RUNS =
  /\b(node|nodemon|next|nest|nuxt|vite|serve|http-server|tsx|ts-node|pm2|bun|deno|react-scripts|remix|fastify)\b/
const BUILDS = /\b(tsc|rollup|tsup|webpack|storybook|esbuild|babel)\b|\bbuild\b|--watch/
const PARTS_MAX = 200

export function folderParts(configuration: Configuration, files: FileIndex, known: readonly Part[]): readonly Part[] {
  const taken = known.flatMap(({ component }) => component.sources)
  const byFolder = new Map<string, Manifest>()
  for (const manifest of configuration.manifests) {
    const role = files.role(manifest.file)
    const folder = folderOf(manifest.file)
    if (role !== 'test' && role !== 'example' && role !== 'generated' && !byFolder.has(folder))
      byFolder.set(folder, manifest)
  }
  const free = [...byFolder].filter(([folder]) => !taken.some((source) => source === folder || isBelow(folder, source)))
  const runnable = free.filter(([folder]) => mayRun(folder, configuration, files))
  // The root stands for what nothing else does: not beside parts of its own.
  const inner = runnable.filter(([folder]) => folder !== '')
  const chosen = known.length + inner.length > 0 ? inner : runnable.length > 0 ? runnable : free
  return chosen.slice(0, PARTS_MAX).map(([folder, manifest]) => toPart(folder, manifest))
}

function mayRun(folder: string, { dockerfiles, manifests }: Configuration, files: FileIndex): boolean {
  if (dockerfiles.some(({ file }) => folderOf(file) === folder)) return true
  if (folder.split('/').some((name) => LIBRARY.test(name))) return false
  const scripts = manifests.filter(({ file }) => folderOf(file) === folder).flatMap((one) => [...one.scripts])
  if (scripts.some(([name, { value }]) => /^(start|serve)\b/.test(name) && RUNS.test(value) && !BUILDS.test(value)))
    return true
  return STARTERS.some((name) => files.has(join(folder, name)))
}

function toPart(folder: string, { file }: Manifest): Part {
  const loc: Loc = { file, line: 1, endLine: 1 }
  return {
    component: {
      name: folder === '' ? 'repository' : folder,
      kind: 'service',
      sources: [folder],
      image: undefined,
      replicas: undefined,
      isPublished: false,
      owner: undefined,
      guarantees: [],
      evidence: [{ provenance: 'config', loc, what: 'a folder with a manifest; no deployment of it was seen' }],
    },
    system: '',
    link: 'http',
    names: [],
    ports: [],
    environment: new Map(),
    waits: [],
    isChecked: false,
  }
}
