// Where a call leads: from the name of an environment variable, a host, or only the kind of library, to a component; else to something outside that has a name.
//   GR4. What leads nowhere that has a name makes no link: a host without a dot that nobody has, an example's address, a variable that nothing sets.

import type { SystemLink } from '../model/graph.ts'
import { isStore, kindOfScheme } from './images.ts'
import type { Part } from './part.ts'
import { plainName } from './sources.ts'

type LinkKind = SystemLink['kind']

export interface Address {
  readonly to: string
  readonly kind: LinkKind
  readonly because: string
  readonly isOutside: boolean
}

const VARIABLE = /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*$/
const URL_TEXT = /^([a-z][a-z0-9+]{1,20}):\/\/(?:[^\s@/]{0,200}@)?([\w.-]{1,200})(?::(\d{1,5}))?/i
const HOST_TEXT = /^([\w-]{1,100}(?:\.[\w-]{1,100}){0,8})(?::(\d{1,5}))?(?:\/|$)/
const LOCAL = /^(localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|host\.docker\.internal)$/
const NOBODY =
  /(^|\.)(example\.(com|org|net)|invalid|test|local)$|^your-|\byour[.-]?(domain|company|org)\b|schemas?\.|w3\.org$/
const SUFFIX = /_(BASE_)?(URL|URI|HOST|HOSTNAME|ADDR|ADDRESS|ENDPOINT|DSN|SERVER)$/
const STORES = new Set<LinkKind>(['postgres', 'mysql', 'mongodb', 'redis', 'amqp', 'kafka'])

/** Libraries that stand for a relational database. */
const MAPPERS =
  /^(sqlalchemy|prisma|@prisma\/client|sequelize|typeorm|knex|drizzle-orm|django|peewee|tortoise|databases|mikro-orm|objection)$/
/** Where a library leads unless it is told otherwise. */
const HOSTS: Readonly<Record<string, string>> = {
  openai: 'api.openai.com',
  anthropic: 'api.anthropic.com',
  '@anthropic-ai/sdk': 'api.anthropic.com',
  stripe: 'api.stripe.com',
  twilio: 'api.twilio.com',
  sendgrid: 'api.sendgrid.com',
  '@sendgrid/mail': 'api.sendgrid.com',
  '@slack/web-api': 'slack.com',
}

export interface Addresses {
  /** `target` as code tells it: a host, a URL, or a variable; undefined: not told, and only the kind, or the library, is known. */
  find(from: Part, target: string | undefined, kind: LinkKind, library?: string): Address | undefined
}

/** `fallbacks`: what code uses where a variable is not set. */
export function addressesOf(parts: readonly Part[], fallbacks: ReadonlyMap<string, string>): Addresses {
  const byName = new Map<string, Part>()
  for (const part of parts)
    for (const name of part.names)
      for (const key of [`${part.system}\n${name}`, name]) if (!byName.has(key)) byName.set(key, part)
  const named = (from: Part, name: string): Part | undefined =>
    byName.get(`${from.system}\n${name}`) ?? byName.get(name)

  const ofHost = (from: Part, host: string, port: string | undefined, kind: LinkKind): Address | undefined => {
    const first = host.split('.')[0] ?? ''
    const found = named(from, host) ?? (/\.(svc|cluster|internal)\b/.test(host) ? named(from, first) : undefined)
    if (found !== undefined) return to(from, found, kind, `by the host name ${host}`)
    if (LOCAL.test(host)) {
      const fitting = parts.filter((part) => part !== from && part.ports.includes(port ?? '-'))
      const near = fitting.filter(({ system }) => system === from.system)
      const [only, another] = near.length > 0 ? near : fitting
      return only === undefined || another !== undefined
        ? undefined
        : to(from, only, kind, `by port ${port} of this machine, which it publishes`)
    }
    const isOutside = host.includes('.') && /\.[a-z]{2,}$/i.test(host) && !NOBODY.test(host) && !host.endsWith('.svc')
    if (!isOutside) return undefined
    return { to: host.toLowerCase(), kind, because: `by the host name ${host.toLowerCase()}`, isOutside: true }
  }

  const ofText = (from: Part, text: string, kind: LinkKind): Address | undefined => {
    const [, scheme, host, port] = URL_TEXT.exec(text) ?? []
    if (host !== undefined) {
      const own = kindOfScheme(scheme ?? '')
      return ofHost(from, host, port, kind === 'other' ? own : kind)
    }
    const [, bare, barePort] = HOST_TEXT.exec(text) ?? []
    return bare === undefined ? undefined : ofHost(from, bare, barePort, kind)
  }

  const ofVariable = (from: Part, name: string, kind: LinkKind): Address | undefined => {
    const set = from.environment.get(name)?.value
    const told = set === undefined || !mayBeAddress(name, set) ? undefined : ofText(from, set, kind)
    if (told !== undefined) return { ...told, because: `${told.because}, which ${name} is set to` }
    const fallback = fallbacks.get(name)
    const other = fallback === undefined || !mayBeAddress(name, fallback) ? undefined : ofText(from, fallback, kind)
    if (other !== undefined) return { ...other, because: `${other.because}, which ${name} has where it is not set` }
    const plain = plainName(name.replace(SUFFIX, ''))
    const alike = SUFFIX.test(name) ? parts.filter(({ component }) => plainName(component.name) === plain) : []
    const [only, another] = alike
    return only === undefined || another !== undefined ? undefined : to(from, only, kind, `by the name of ${name}`)
  }

  const ofKind = (from: Part, kind: LinkKind, library: string): Address | undefined => {
    const host = Object.hasOwn(HOSTS, library) ? HOSTS[library] : undefined
    if (host !== undefined) return { to: host, kind: 'http', because: `as where ${library} leads`, isOutside: true }
    const kinds: readonly LinkKind[] = STORES.has(kind) ? [kind] : MAPPERS.test(library) ? ['postgres', 'mysql'] : []
    const all = parts.filter((part) => kinds.includes(part.link) && isStore(part.component))
    const near = all.filter(({ system }) => system === from.system)
    const [only, another] = near.length > 0 ? near : all
    if (only === undefined || another !== undefined) return undefined
    return to(from, only, only.link, `as the only ${only.link} there is`)
  }

  return {
    find: (from, target, kind, library = '') => {
      if (target === undefined || target === '' || target.length > 300) return ofKind(from, kind, library)
      if (VARIABLE.test(target)) return ofVariable(from, target, kind) ?? ofKind(from, kind, library)
      return ofText(from, target, kind) ?? ofKind(from, kind, library)
    },
  }
}

/** Variables whose addresses are handed on or compared, not called. */
export const NOT_CALLED = /CORS|ORIGIN|CALLBACK|REDIRECT|DOMAIN|WEBROOT|SITE|FRONTEND|APP_URL|WEB_URL|ISSUER|AUDIENCE/

/** `redis:6379` anywhere, `redis` in what is called a host. */
export function mayBeAddress(name: string, text: string): boolean {
  return (
    text.includes('://') ||
    /^[a-z][\w.-]*:\d{2,5}$/i.test(text) ||
    /(HOST|HOSTNAME|ADDR|ADDRESS|SERVER|SERVERS|BROKERS?)$/.test(name)
  )
}

/** A component is not linked to itself. */
function to(from: Part, part: Part, kind: LinkKind, because: string): Address | undefined {
  if (part === from) return undefined
  const own = (isStore(part.component) && part.link !== 'other') || kind === 'other' ? part.link : kind
  return { to: part.component.name, kind: own, because, isOutside: false }
}
