// Datastores that listen on every interface of the host.
//   RX8. A loopback address, a port that is only exposed to containers, and images that are no datastore are silent.

import { baseOf } from './builds.ts'
import { at, type Rule } from './deployment.ts'
import { datastoreOf } from './images.ts'
import { oncePerPlace, seen, servicesOf, tierIn } from './projects.ts'

const meta = at({
  id: 'compose-db-port-exposed',
  category: 'security',
  severity: 'high',
  title: 'A datastore is published on all interfaces',
  why: "Docker publishes past the host's firewall: whoever reaches the machine reaches the datastore, and clients that go around the services hold its connections.",
  remedy: { priority: 'P1', text: 'Drop the port, or publish it on 127.0.0.1.', effort: 'XS' },
  sources: ['https://docs.docker.com/engine/network/port-publishing/'],
})

export const composeDbPortExposed: Rule = {
  meta,
  *run(repository) {
    const found = servicesOf(repository).flatMap(({ project, service }) => {
      const store = datastoreOf(baseOf(repository, service))
      if (store === undefined) return []
      return service.ports.flatMap(({ host, published, container, loc }) => {
        const isOpen = host === undefined || host === '' || host === '0.0.0.0' || host === '[::]' || host === '::'
        if (!isOpen || published === undefined || !store.ports.includes(container)) return []
        const tier = tierIn(project, loc)
        return [
          {
            tier,
            cause: `published datastores of ${loc.file}`,
            symbol: service.name,
            component: service.name,
            symptom: `${service.name} can be reached from outside of the host.`,
            rootCause: 'The port is published without an address.',
            evidence: [
              seen(
                loc,
                `Port ${container} of a ${store.kind === 'other' ? 'datastore' : store.kind} is published on every interface.`,
              ),
            ],
          },
        ]
      })
    })
    yield* oncePerPlace(found)
  },
}
