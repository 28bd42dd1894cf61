// Route table. The longest path that is a prefix on whole segments wins. Raw paths are compared: nothing is decoded, so
// what the upstream sees is what was matched.
// Invariants:
//   RT1. A path is matched by the longest route that is equal to it or followed by a slash in it, and by nothing else.
//   RT2. Matching costs as many look-ups as the deepest route has segments, whatever path a client sends.
//   RT3. No path that some server could resolve to a place outside of its route's prefix is let through.

export class RouteTable<R extends { readonly path: string }> {
  readonly #routes: ReadonlyMap<string, R>
  readonly #depthMax: number

  constructor(routes: readonly R[]) {
    this.#routes = new Map(routes.map((route) => [route.path, route]))
    this.#depthMax = Math.max(0, ...routes.map(({ path }) => path.split('/').length - 1))
  }

  /** `url` begins with the path; what follows a question mark is not looked at. */
  find(url: string): R | undefined {
    const query = url.indexOf('?')
    const end = query < 0 ? url.length : query
    let found: R | undefined
    for (let depth = 0, slash = 0; depth < this.#depthMax && slash < end; depth++) {
      slash = url.indexOf('/', slash + 1)
      if (slash < 0 || slash > end) slash = end
      found = this.#routes.get(url.slice(0, slash)) ?? found
    }
    return found
  }
}

const MAYBE_DOTS = /\/\.|%2[5ef]|%5c|%c0%a|\\/i
const DECODINGS_MAX = 3

/**
 * Might some server resolve this path to a place outside of where it begins? Beside plain dot segments that is any
 * spelling that decoding (even twice), overlong UTF-8, Windows' backslash or Tomcat's path parameters (`..;x=y`) turn
 * into one.
 */
export function hasDotSegments(path: string): boolean {
  if (!MAYBE_DOTS.test(path)) return false
  let decoded = path
  for (let times = 0; times < DECODINGS_MAX && decoded.includes('%25'); times++)
    decoded = decoded.replaceAll('%25', '%')
  decoded = decoded.replace(/%2e|%c0%ae/gi, '.').replace(/%2f|%5c|%c0%af|\\/gi, '/')
  return decoded.split('/').some((segment) => /^\.\.?(;.*)?$/.test(segment))
}
