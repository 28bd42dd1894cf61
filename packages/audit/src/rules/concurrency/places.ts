// Code that nobody runs twice at once, or that people run by hand: races there hurt nobody.

import type { IndexedFile } from '../../program/index.ts'
import { isByHand } from '../places.ts'

/** Runs once, or before anything else does. */
const ALONE =
  /(?:^|\/)(?:alembic|versions|commands|fixtures|mocks?|__e2e__)\/|(?:^|\/)[\w-]*(?:initializer|startup|bootstrap)\.py$|(?:^|\/)(?:demo|seed|setup|migrate|manage|conftest|populate|import|create_?admin|init_?db|bootstrap)[\w.-]*\.(?:py|[cm]?[jt]s)$/i
const STARTING =
  /^[_#]*(?:init(?=$|[A-Z_]|iali[sz]e)|start$|start_?(?:up|server|app)|boot(?:strap)?(?=$|[A-Z_])|main$|seed|set_?up|migrate|ensure_?(?:table|schema|index)|create_?(?:default|initial|super|admin|first|sample|demo)|on_?module_?init|lifespan|populate|__init__|constructor)/i

const SERVES =
  /(?:^|\.)(?:FastAPI|Flask|APIRouter|Starlette|Application|include_router|serve|start_server|run_app|subscribe|consume|basic_consume|run_forever)$|^uvicorn\.run$/

export function runsAlone(path: string): boolean {
  return isByHand(path) || ALONE.test(path)
}

/** By the names of the function and of those around it. */
export function isStarting({ facts }: IndexedFile, fn: number): boolean {
  for (let at = fn; at >= 0; at = facts.blocks[at]?.parent ?? -1) {
    const block = facts.blocks[at]
    if (block?.kind === 'function' && (STARTING.test(block.name) || block.fn?.kind === 'constructor')) return true
  }
  return false
}

/** A file of Python that is run as a program and serves nobody: `if __name__ == '__main__'`, and no route in it. */
export function isScript({ facts }: IndexedFile): boolean {
  const isMain = facts.blocks.some(
    ({ kind, parent, test }) =>
      kind === 'branch' &&
      parent === 0 &&
      test?.kind === 'operation' &&
      test.left.kind === 'path' &&
      test.left.path.text === '__name__',
  )
  return isMain && !facts.calls.some(({ callee }) => SERVES.test(callee.text))
}
