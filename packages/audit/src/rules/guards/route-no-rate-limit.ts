// Passwords that can be guessed as fast as the machine answers: a route that checks one, in a program that has no limit of rate at all.
//   RZ5. A program is found once, and only where nothing that it loads, declares or is fronted by in this repository is named for a limit of rate; found where the route’s
//        handler, or what it leads to through the layers below it, compares a password.
//   QT19. Of routes in one chain each has the line of its own handler.
//   QT15. What is imported by its name from a library of hashes compares as well.
//   QR16. The view of Django's REST framework that hands out tokens compares one as well; throttles of the settings are its limit.

import type { Call } from '../../facts/facts.ts'
import { type BlockRef, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { type Entry, entriesOf } from '../../system/entries.ts'
import { contentsOf } from '../contents.ts'
import { GUARANTEES } from '../guarantees.ts'
import { seenAt } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { reachOf } from './reach.ts'

const GUESSED =
  /(?:^|[/_-])(?:login|log-in|signin|sign-in|authenticate|access-token|otp|2fa|mfa|verify-code|reset-password|forgot-password|password-reset|password-recovery)(?:$|[/_:{-])/i
const COMPARES =
  /(?:^|\.)(?:compare|\w*(?:Hashed)?Password(?:Verified|Valid|Correct|Matching)|compareSync|verify_?password|check_?password(?:_hash)?|verifyPassword|validatePassword|comparePassword|authenticate(?:_user)?|authenticateUser|checkpw|pbkdf2Sync|scryptSync|argon2\.verify)$/i
/** QT15. `import { verify } from 'argon2'`. */
const COMPARED = /^import:(?:argon2|@node-rs\/(?:argon2|bcrypt)|bcrypt(?:js)?)#(?:verify|compare)$/
/** Of the handler, where the path says no more than `/auth`. */
const HANDLING = /^(?:log|sign)_?in(?:$|[A-Z_])/i
const LIMITING =
  /rate.?limit|throttl|limiter|slow.?down|brute|lockout|failed.?(?:login|attempt)|login.?attempt|axes|ratelimit|captcha|turnstile|arcjet|helmet-rate|bottleneck/i

export const routeNoRateLimit: Rule = {
  meta: {
    id: 'route-no-rate-limit',
    category: 'guards',
    severity: 'medium',
    title: 'Passwords can be guessed without limit',
    why: 'A list of leaked passwords is tried in minutes; each try also costs a slow hash, so that guessing is an outage for everybody else.',
    remedies: [
      {
        priority: 'P1',
        text: 'Limit by account and by address, with counters that all processes share.',
        effort: 'S',
        guarantee: GUARANTEES.gatewayRate,
      },
    ],
    sources: [
      'CWE-307: improper restriction of excessive authentication attempts',
      'OWASP API4:2023 unrestricted resource consumption',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const told = new Set<string>()
    const isFronted = frontLimits(repository)
    for (const entry of entriesOf(repository)) {
      if (!isFronted && givesToken(entry) && !isThrottled(repository)) yield ofLibrary(entry)
      if (
        isFronted ||
        entry.kind !== 'route' ||
        !/^(?:POST|ALL) /.test(entry.name) ||
        entry.handler === undefined ||
        !(GUESSED.test(entry.name) || HANDLING.test(nameOf(repository, entry.handler)))
      )
        continue
      if (told.has(entry.site.file)) continue
      const reach = reachOf(repository, entry.site.file)
      for (const path of reach) told.add(path)
      if (isLimited(repository, reach, entry)) continue
      const compared = comparedIn(repository, entry.handler, 0)
      if (compared === undefined) continue
      yield {
        tier: 'strong',
        evidence: [
          seenAt(
            entry.site.file,
            placeOf(repository, entry),
            `a password is checked for whoever asks, by ${compared.callee.text} in line ${compared.line} of ${entry.handler.file}`,
          ),
        ],
        symbol: entry.name,
        symptom:
          'Passwords can be tried as fast as the service answers, and each try takes the time of a hash from everybody else.',
        rootCause: 'Nothing that the program loads limits how often it may be asked.',
      }
    }
  },
}

/** QT19. `new Hono().get(…).post('/login', …)`: the whole chain begins in one line. */
function placeOf({ facts }: Repository, { site, handler }: Entry): Pick<Call, 'line' | 'endLine'> {
  const own =
    site.call.on !== -1 && handler?.file === site.file ? facts.get(site.file)?.blocks[handler.block] : undefined
  const { line } = own ?? site.call
  return { line, endLine: line }
}

/** QR16. */
function givesToken({ kind, handler, site: { call } }: Entry): boolean {
  const [, view] = call.args
  return (
    kind === 'route' &&
    handler === undefined &&
    view?.kind === 'path' &&
    /^import:rest_framework\.authtoken/.test(view.path.root) &&
    /(?:^|\.)obtain_auth_token$/.test(view.path.text)
  )
}

/** By what all views of Django's REST framework are given. */
function isThrottled({ files }: Repository): boolean {
  return files.list('source').some((path) => /settings/.test(path) && /THROTTLE/.test(files.read(path) ?? ''))
}

function ofLibrary({ name, site }: Entry): Discovery {
  return {
    tier: 'strong',
    evidence: [
      seenAt(site.file, site.call, "a password is checked for whoever asks, by the view of Django's REST framework"),
    ],
    symbol: name,
    symptom:
      'Passwords can be tried as fast as the service answers, and each try takes the time of a hash from everybody else.',
    rootCause: 'The view that hands out tokens has no throttle of its own, and no settings give it one.',
  }
}

function nameOf({ facts }: Repository, { file, block }: BlockRef): string {
  return facts.get(file)?.blocks[block]?.name ?? ''
}

const DEPTH_MAX = 3

/** Where a password is compared on the way of a handler: in it, or behind what it calls, through the layers below it. */
function comparedIn(repository: Repository, fn: BlockRef, depth: number): Call | undefined {
  const own = repository.facts.get(fn.file)
  const { calls } = own === undefined ? { calls: [] } : contentsOf(own, fn.block)
  const found = calls.find(({ callee }) => COMPARES.test(callee.text) || COMPARED.test(callee.root))
  if (found !== undefined || depth >= DEPTH_MAX) return found
  return calls.find((call) => {
    const target = programOf(repository.facts).target({ file: fn.file, call })
    const isOther = target !== undefined && (target.file !== fn.file || target.block !== fn.block)
    return isOther && comparedIn(repository, target, depth + 1) !== undefined
  })
}

function isLimited({ facts, configuration }: Repository, reach: ReadonlySet<string>, { site }: Entry): boolean {
  for (const file of reach) {
    const own = facts.get(file)
    if (own === undefined) continue
    if (
      LIMITING.test(file) ||
      own.imports.some(({ module, imported }) => LIMITING.test(module) || LIMITING.test(imported))
    )
      return true
    if (
      own.blocks.some(({ name }) => name !== '' && LIMITING.test(name)) ||
      own.calls.some(({ callee }) => LIMITING.test(callee.text))
    )
      return true
  }
  return configuration.manifests.some(({ file, dependencies }) => {
    const folder = file.slice(0, Math.max(0, file.lastIndexOf('/')))
    return (
      (folder === '' || site.file.startsWith(`${folder}/`)) &&
      [...dependencies.keys()].some((name) => LIMITING.test(name))
    )
  })
}

const FRONTS = /nginx|traefik|kong|envoy|haproxy|caddy|gateway|ingress|middleware/i

/** A proxy of the repository that limits. */
function frontLimits({ files, configuration }: Repository): boolean {
  for (const path of files.list('configuration'))
    if (
      (FRONTS.test(path) || path.endsWith('.conf')) &&
      /limit_req|rate.?limit|stick-table/i.test(files.read(path) ?? '')
    )
      return true
  return configuration.compose.some(({ services }) =>
    [...services.values()].some(({ image }) => /fail2ban|crowdsec/i.test(image?.value ?? '')),
  )
}
