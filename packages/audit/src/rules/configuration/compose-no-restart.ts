// Services that stay down: no restart policy.
//   RX6. `restart: "no"` is its authors' word; jobs, one-shot services that others wait to complete, profiles and a deploy policy are silent.

import { at, type Rule } from './deployment.ts'
import { oncePerPlace, seen, standingServices, tierIn } from './projects.ts'

const meta = at({
  id: 'compose-no-restart',
  severity: 'medium',
  title: 'A service has no restart policy',
  why: 'What exits once stays down until somebody starts it, also after a restart of the machine.',
  remedy: {
    priority: 'P1',
    text: 'restart: unless-stopped; for jobs that are meant to end, restart: "no".',
    effort: 'XS',
  },
  sources: ['https://docs.docker.com/reference/compose-file/services/#restart'],
})

export const composeNoRestart: Rule = {
  meta,
  *run(repository) {
    const found = standingServices(repository)
      .filter(({ service }) => service.restart === undefined)
      .map(({ project, service }) => ({
        tier: tierIn(project, service.loc),
        cause: `restart policies of ${service.loc.file}`,
        symbol: service.name,
        component: service.name,
        symptom: `Once ${service.name} exits it stays down.`,
        rootCause: 'No restart policy; the default is never.',
        evidence: [seen(service.loc, `${service.name} says nothing about restarts.`)],
      }))
    yield* oncePerPlace(found)
  },
}
