// Routes as they are declared, before it is known under which prefix: what every finder of routes hands over, and how it becomes an entry.

import type { Value } from '../facts/facts.ts'
import type { BlockRef, CallSite } from '../program/index.ts'
import type { Entry } from './entry.ts'
import { pathUnder, type Router, type Routers, usesOf } from './routers.ts'

export interface Declared {
  readonly kind: 'route' | 'middleware'
  /** Routes: in capitals. */
  readonly method: string
  readonly path: string
  readonly framework: string
  readonly site: CallSite
  readonly handler: BlockRef | undefined
  readonly before: readonly Value[]
  readonly router: Router | undefined
}

/** What is gathered while files are walked. */
export interface Gathered {
  readonly routers: Routers
  readonly routes: Declared[]
  readonly others: Entry[]
}

export function entryOfRoute(route: Declared): Entry {
  const { kind, method, path, framework, site, handler, before, router } = route
  const name = kind === 'middleware' ? path : `${method} ${pathUnder(router, path)}`
  const uses = usesOf(router, site.file)
  return {
    kind,
    name,
    framework: router?.framework || framework,
    site,
    handler,
    before: kind === 'middleware' ? [] : [...uses, ...before],
  }
}
