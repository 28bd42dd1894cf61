// What a demonstration is: a way to make a kind of fault visible, for people who doubt it. A recipe, not a measurement: nothing of it was run on what is audited.
// A step that begins with `$ ` is a command. Words in capitals stand for what a finding knows of its place: SERVICE, DEPENDENCY, REQUEST.
//   QS11. What the tests can run here is run: the commands of a demonstration, on a small program that has the fault and on the same program mended.

export interface Demonstration {
  readonly title: string
  readonly steps: readonly string[]
  /** What is seen where the fault is there. */
  readonly expected: string
  /** What is seen instead once it is mended. */
  readonly mended: string
}

/** Where the fault API of @ripstop/faults and Toxiproxy listen. */
const API = 'localhost:8474/proxies'
const TOXICS = `${API}/f/toxics`

/** The proxy `f` stands before `what`; Toxiproxy takes the same commands, but knows no HTTP. */
export function proxyBefore(what: 'SERVICE' | 'DEPENDENCY', speaks: 'TCP' | 'HTTP' = 'TCP'): readonly string[] {
  const whose = what === 'SERVICE' ? 'send requests' : 'point SERVICE'
  return [
    `Start the fault API (startFaultApi() of @ripstop/faults${speaks === 'TCP' ? ', or Toxiproxy' : ''}), put a proxy before ${what}, and ${whose} to localhost:21000.`,
    `$ curl -sS -d '{"name":"f","listen":"127.0.0.1:21000","upstream":"HOST:PORT"}' ${API}`,
  ]
}

/** Connections are taken, and nothing ever comes back. */
export const SILENCE = toxic('timeout', { timeout: 0 })
export const REFUSE = `$ curl -sS -d '{"enabled":false}' ${API}/f`
export const HEAL = `$ curl -sS -d '{"enabled":true}' ${API}/f`

export function toxic(type: string, attributes: Readonly<Record<string, number>> = {}): string {
  return `$ curl -sS -d '${JSON.stringify({ type, attributes })}' ${TOXICS}`
}
