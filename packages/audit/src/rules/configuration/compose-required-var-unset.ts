// Variables without which a container cannot start, and that nothing makes sure of: no default, no guard, no value in the `.env` beside the file.
//   RX17. Guards (`:?`) and defaults are silent, and so is what the `.env` in the repository sets.

import { variableUses } from '../../readers/interpolation.ts'
import type { ComposeProject, ComposeService } from '../../repository/configuration.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { parseImage } from './images.ts'
import { oncePerPlace, seen, servicesOf } from './projects.ts'

const meta = at({
  id: 'compose-required-var-unset',
  category: 'configuration',
  severity: 'medium',
  title: 'A variable that a container cannot start without is not made sure of',
  why: 'Compose warns, puts nothing in its place and starts the container, which then fails on an option without an argument.',
  remedy: {
    priority: 'P1',
    text: 'Write a guard (:? and a message after its name): compose then says what is missing and starts nothing.',
    effort: 'XS',
  },
  sources: ['https://docs.docker.com/reference/compose-file/interpolation/'],
})

/** The entry script of the image refuses to start a new datastore without. */
const NEEDED: readonly (readonly [RegExp, RegExp])[] = [
  [/(^|\/)(postgres|postgis|timescaledb|pgvector)$/, /^POSTGRES_PASSWORD$/],
  [/(^|\/)(mysql|mariadb)$/, /^(MYSQL|MARIADB)_ROOT_PASSWORD$/],
]

export const composeRequiredVarUnset: Rule = {
  meta,
  *run(repository) {
    yield* oncePerPlace(
      servicesOf(repository).flatMap(({ project, service }) => [
        ...options(project, service),
        ...needed(project, service),
      ]),
    )
  },
}

function options(project: ComposeProject, service: ComposeService): readonly Discovery[] {
  const { command } = service
  if (command === undefined) return []
  // `--flag ${X}`: the flag loses its argument. `--flag=${X}` keeps an empty one.
  const names = [...command.raw.matchAll(/(?:^|\s)--?[\w-]+\s+["']?\$\{?(\w+)\}?["']?(?=\s|$)/g)].map(
    (match) => match[1] ?? '',
  )
  return names
    .filter((name) => isUnset(project, name, command.loc.line))
    .map((name) =>
      discovery(
        service,
        name,
        'strong',
        seen(command.loc, `An option of the command has only ${name} for its argument.`),
      ),
    )
}

function needed(project: ComposeProject, service: ComposeService): readonly Discovery[] {
  const image = parseImage(service.image?.value ?? '').name
  const names = NEEDED.filter(([pattern]) => pattern.test(image)).map(([, name]) => name)
  return [...service.environment].flatMap(([key, { raw, loc }]) => {
    const [use, ...more] = variableUses(raw)
    const isWhole = use !== undefined && more.length === 0 && use.operator === '' && /^\$\{?\w+\}?$/.test(raw)
    if (!isWhole || !names.some((name) => name.test(key)) || !isUnset(project, use.name, loc.line)) return []
    return [
      discovery(
        service,
        use.name,
        'review',
        seen(loc, `The image does not start without ${key}, which is only ${use.name}.`),
      ),
    ]
  })
}

function isUnset(project: ComposeProject, name: string, line: number): boolean {
  return project.unset.some(({ value, loc }) => value === name && Math.abs(loc.line - line) <= 3)
}

function discovery(
  service: ComposeService,
  name: string,
  tier: Discovery['tier'],
  evidence: ReturnType<typeof seen>,
): Discovery {
  return {
    tier,
    symbol: `${service.name} ${name}`,
    component: service.name,
    symptom: `Without ${name}, ${service.name} does not start, and so nothing that waits for it.`,
    rootCause: `${name} has neither a default nor a guard.`,
    evidence: [evidence],
  }
}
