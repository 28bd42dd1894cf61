// Routes that a framework finds by the names of files: Next's `app/**/route.ts` and `pages/api/**`, and functions of serverless platforms.

import type { BlockRef } from '../program/index.ts'
import { creationOf, type Entry, functionOf, type Surroundings, siteOf } from './entry.ts'

const VERBS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']
const APP = /(?:^|\/)app\/(?:(.+)\/)?route\.[cm]?[jt]sx?$/
const PAGES = /(?:^|\/)pages\/api\/(.+)\.[cm]?[jt]sx?$/

export function* fileRoutes(around: Surroundings): Iterable<Entry> {
  const { path, file } = around
  const app = APP.exec(path)
  const pages = app === null ? PAGES.exec(path) : null
  if (app !== null) {
    const place = addressOf(app[1] ?? '')
    for (const verb of VERBS)
      if (file.facts.exports.includes(verb)) yield exported(around, verb, `${verb} /${place}`, 'next', 'route')
  } else if (pages !== null && file.facts.exports.includes('default'))
    yield exported(
      around,
      'default',
      `ALL /api/${addressOf((pages[1] as string).replace(/(?:^|\/)index$/, ''))}`,
      'next',
      'route',
    )
  else if (isLambda(around)) yield exported(around, 'handler', '', 'lambda', 'consumer')
}

/** Without groups: `(shop)/items/[id]` is `items/[id]`. */
function addressOf(folder: string): string {
  return folder
    .split('/')
    .filter((part) => !/^\(.*\)$/.test(part))
    .join('/')
}

function isLambda({ file }: Surroundings): boolean {
  if (!file.facts.exports.includes('handler')) return false
  const fn = file.facts.blocks[file.functions.get('handler') ?? -1]?.fn
  return (
    fn !== undefined &&
    fn.params.length > 0 &&
    /^(?:_?event|\{.*(?:Records|body|queryStringParameters).*\})$/.test(fn.params[0] ?? '')
  )
}

function exported(
  around: Surroundings,
  symbol: string,
  name: string,
  framework: string,
  kind: 'route' | 'consumer',
): Entry {
  const { path, file } = around
  const handler = functionNamed(around, symbol)
  const block = handler?.file === path ? handler.block : 0
  const made = creationOf(around, { text: symbol, isOwn: false, root: 'module' }, 0)
  const at = file.facts.blocks[block]
  const site =
    made?.file === path
      ? made
      : at === undefined
        ? undefined
        : siteOf(path, block === 0 ? { ...at, endLine: at.line } : at, block)
  return { kind, name, framework, site: site as Entry['site'], handler, before: [] }
}

function functionNamed(around: Surroundings, symbol: string): BlockRef | undefined {
  const own = around.file.functions.get(symbol)
  if (own !== undefined) return { file: around.path, block: own }
  const [write] = around.file.writes(-1, symbol)
  return functionOf(around, write?.value ?? { kind: 'path', path: { text: symbol, isOwn: false, root: 'module' } }, 0)
}
