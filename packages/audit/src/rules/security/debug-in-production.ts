// Development's servers and debuggers in what is deployed: what an image starts, and what a compose project that is nobody's own machine starts.
//   SU7. Stages and files that are named for development or tests, images whose start compose replaces, and services that mount their source are silent or for review; a
//        literal in source counts only where an image starts that very file.

import type { Call } from '../../facts/facts.ts'
import type { Loc } from '../../model/evidence.ts'
import type { Dockerfile } from '../../repository/configuration.ts'
import { isBelow, nameOf, resolveFrom } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { contextOf, dockerfileOf, imageStages, instructionsOf } from '../configuration/builds.ts'
import { seen, standingServices, tierIn } from '../configuration/projects.ts'
import { optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { djangoDebug } from './django-debug.ts'

const STARTS_DEVELOPMENT =
  /--reload\b|\bnodemon\b|\bts-node-dev\b|\btsx\s+watch\b|\bnode\s+--watch\b|\bmanage\.py["',\s]+runserver\b|\bflask\b.*--debug\b|\b(npm|pnpm|yarn|bun)["',\s]+(run["',\s]+)?(dev|start:dev|serve:dev|develop)\b|\bnext["',\s]+dev\b|\bwebpack["',\s]+serve\b|\bvite["',\s]+(dev|serve)\b|--inspect=0\.0\.0\.0/
const DEVELOPMENT =
  /(^|[/._-])(dev|devel|develop|development|local|debug|tests?|e2e|ci|cypress|playground|demo|examples?|samples?)([/._-]|$)/i

export const debugInProduction: Rule = {
  meta: {
    id: 'debug-in-production',
    category: 'security',
    severity: 'high',
    title: 'What is deployed starts as in development',
    why: 'Debuggers let whoever sees an error page run code; development servers watch files, restart by themselves, serve slowly and one request at a time, and are made for one user.',
    remedies: [
      {
        priority: 'P1',
        text: 'Start the production server in the image; take debug switches from configuration, off by default.',
        effort: 'S',
      },
    ],
    sources: [
      'https://cwe.mitre.org/data/definitions/489.html',
      'https://flask.palletsprojects.com/en/stable/deploying/',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const dockerfile of repository.configuration.dockerfiles) yield* ofImage(repository, dockerfile)
    yield* inCompose(repository)
    yield* djangoDebug(repository)
  },
}

function* ofImage(repository: Repository, dockerfile: Dockerfile): Iterable<Discovery> {
  const role = repository.files.role(dockerfile.file)
  if (role === 'test' || role === 'example' || DEVELOPMENT.test(dockerfile.file)) return
  for (const target of targetsOf(repository, dockerfile)) {
    const stages = imageStages(dockerfile, target)
    if (/dev|test|debug/i.test(stages.at(-1)?.name ?? '')) continue
    const instructions = instructionsOf(stages)
    const starts = ['ENTRYPOINT', 'CMD'].flatMap((each) => instructions.findLast(({ name }) => name === each) ?? [])
    const text = starts.map((each) => each.text).join(' ')
    const loc = starts.at(-1)?.loc
    const script = /\bpython3?["',\s\]]+(?:\[")?(?:-u["',\s]+)?([\w./-]+\.py)/.exec(text)?.[1]
    if (loc === undefined) continue
    if (STARTS_DEVELOPMENT.test(text)) {
      yield discovery(loc, dockerfile.file, 'strong', 'The image starts a development server.')
      return
    }
    if (script !== undefined) yield* ofScript(repository, dockerfile, script, loc)
  }
}

/** Stages that are run as they are; compose services that say what they start are left out. Undefined: the last one. */
function targetsOf(repository: Repository, dockerfile: Dockerfile): ReadonlySet<string | undefined> {
  const built = standingServices(repository).filter(
    ({ service }) => service.build !== undefined && dockerfileOf(repository, service)?.file === dockerfile.file,
  )
  if (built.length === 0) return new Set([undefined])
  const asTheyAre = built.filter(({ service }) => service.command === undefined && service.entrypoint === undefined)
  return new Set(asTheyAre.map(({ service }) => service.build?.target))
}

/** The file that the image starts: `app.run(debug=True)`. */
function* ofScript({ facts }: Repository, dockerfile: Dockerfile, script: string, start: Loc): Iterable<Discovery> {
  const folder = dockerfile.file.includes('/') ? dockerfile.file.slice(0, dockerfile.file.lastIndexOf('/')) : ''
  const [file, ...more] = [...facts.values()].filter(
    (each) => nameOf(each.file) === nameOf(script) && (folder === '' || each.file.startsWith(`${folder}/`)),
  )
  if (file === undefined || more.length > 0) return
  for (const call of file.calls) {
    const what = debugOf(call)
    if (what === undefined) continue
    yield {
      ...discovery(
        { file: file.file, line: call.line, endLine: call.line },
        symbolOf(file, call.block),
        'strong',
        what,
      ),
      evidence: [seenAt(file.file, call, what), seen(start, 'This image starts that file.')],
    }
  }
}

function debugOf(call: Call): string | undefined {
  const isOn = (name: string): boolean => {
    const value = optionOf(call, name)
    return value?.kind === 'boolean' && value.value
  }
  if (!/(^|\.)run$/.test(call.callee.text)) return undefined
  if (isOn('debug')) return 'The server starts with its debugger on.'
  return /^uvicorn\.run$/.test(call.callee.text) && isOn('reload') ? 'The server starts with reload on.' : undefined
}

const SWITCHES: readonly (readonly [name: string, value: RegExp])[] = [
  ['FLASK_DEBUG', /^(1|true|on)$/i],
  ['FLASK_ENV', /^development$/i],
  ['DJANGO_DEBUG', /^(1|true|on)$/i],
]

function* inCompose(repository: Repository): Iterable<Discovery> {
  for (const { project, service } of standingServices(repository)) {
    if (project.files.some((file) => DEVELOPMENT.test(file))) continue
    // Whoever mounts the source works on it.
    const context = contextOf(repository, service.build)
    const isOwn = service.volumes.some(({ isBind, source, loc }) => {
      const from = !isBind || source === undefined ? undefined : resolveFrom(loc.file, source)
      return (
        context !== undefined &&
        from !== undefined &&
        typeof from !== 'string' &&
        (isBelow(from.path, context) || isBelow(context, from.path)) &&
        repository.files.role(from.path) === undefined
      )
    })
    const started = service.command ?? service.entrypoint
    if (started !== undefined && STARTS_DEVELOPMENT.test(started.value))
      yield discovery(
        started.loc,
        service.name,
        isOwn ? 'review' : tierIn(project, started.loc),
        `${service.name} starts a development server.`,
      )
    for (const [name, pattern] of SWITCHES) {
      const written = service.environment.get(name)
      if (written !== undefined && pattern.test(written.value))
        yield discovery(
          written.loc,
          service.name,
          isOwn ? 'review' : tierIn(project, written.loc),
          `${name} switches debugging on.`,
        )
    }
  }
}

function discovery(loc: Loc, symbol: string, tier: Discovery['tier'], what: string): Discovery {
  return {
    tier,
    symbol,
    symptom:
      'Whoever finds an error finds more than they should; it restarts and stalls where a production server would not.',
    rootCause: what,
    evidence: [seen(loc, what)],
  }
}
