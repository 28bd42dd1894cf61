// Start order without health: a `depends_on` that is a list waits until containers are started, not until they answer.
//   RX2. The long form with `service_healthy` is silent, and so is what the command waits for by itself; one discovery for each service, at its `depends_on`.
//   RX3. Long forms that say `service_started` are their authors' word, and only worth a look where the address of that service is in the environment.

import { at, type Rule } from './deployment.ts'
import { isJob, oncePerPlace, seen, servicesOf, tierIn } from './projects.ts'

const SOURCE = 'https://docs.docker.com/compose/how-tos/startup-order/'

/** The command waits itself until a named host answers. */
const WAITS = /\b(?:wait[-_]?for(?:[-_]?it)?|dockerize|wait-on|pg_isready|nc\s+-\w*z)\b/

export const composeDependsNoHealth: Rule = {
  meta: at({
    id: 'compose-depends-no-health',
    severity: 'medium',
    title: 'Start order does not wait for health',
    why: 'A short depends_on waits until the process of the other container is started. The first connections are refused, and what does not try again stays broken.',
    remedy: {
      priority: 'P1',
      text: 'Give the dependency a healthcheck and wait for condition: service_healthy.',
      effort: 'S',
    },
    sources: [SOURCE],
  }),
  *run(repository) {
    yield* oncePerPlace(
      servicesOf(repository).flatMap(({ project, service }) => {
        const { shortDependsOn: loc, name } = service
        if (loc === undefined) return []
        const command = `${service.entrypoint?.value ?? ''} ${service.command?.value ?? ''}`
        const waited = [...service.dependsOn.keys()]
          .filter((each) => !(WAITS.test(command) && command.includes(each)))
          .join(', ')
        if (waited === '') return []
        return [
          {
            tier: tierIn(project, loc),
            cause: `dependencies without health of ${loc.file}`,
            symbol: name,
            component: name,
            symptom: `${name} starts while ${waited} may not answer yet; after a restart of all, first calls fail.`,
            rootCause: 'depends_on is a list, which is the condition service_started.',
            evidence: [seen(loc, `${name} waits for the start of ${waited}, not for their health.`)],
          },
        ]
      }),
    )
  },
}

export const composeDependsStarted: Rule = {
  meta: at({
    id: 'compose-depends-started',
    severity: 'low',
    title: 'A service that is called is only waited for until it is started',
    why: 'service_started says no more than that the process exists. Where the caller reaches it while it starts, it fails.',
    remedy: { priority: 'P3', text: 'Wait for service_healthy, or write down why it is not needed.', effort: 'XS' },
    sources: [SOURCE],
  }),
  *run(repository) {
    const found = servicesOf(repository).flatMap(({ project, service }) => {
      if (service.shortDependsOn !== undefined) return []
      const called = [...service.environment.values()].map(({ value }) => value)
      return [...service.dependsOn].flatMap(([name, { value, loc }]) => {
        const other = project.services.get(name)
        const isCalled = called.some((text) => text.includes(`//${name}:`) || text.includes(`@${name}:`))
        if (value !== 'service_started' || !isCalled || other === undefined || isJob(project, other)) return []
        return [
          {
            tier: 'review' as const,
            cause: `dependencies that are only started of ${loc.file}`,
            symbol: `${service.name} ${name}`,
            component: service.name,
            symptom: `${service.name} may call ${name} before it answers.`,
            rootCause: 'The condition is service_started.',
            evidence: [seen(loc, `${service.name} has the address of ${name} and waits only for its start.`)],
          },
        ]
      })
    })
    yield* oncePerPlace(found)
  },
}
