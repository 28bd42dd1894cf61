// Images whose tag moves. `image: x:latest`, or no tag on an image that is not built here: two starts on two days may run two programs.
//   RX1. A digest or any other tag is silent, and so is an untagged image that is built by this project.

import { at, type Rule } from './deployment.ts'
import { parseImage } from './images.ts'
import { oncePerPlace, seen, servicesOf, tierIn } from './projects.ts'

const meta = at({
  id: 'compose-latest-tag',
  severity: 'medium',
  title: 'An image has a floating tag',
  why: 'Whoever pulls next gets what was pushed last: a restart on another machine brings another version, and going back has no name to go back to.',
  remedy: { priority: 'P2', text: 'Name a version, better a digest, and let a bot raise it.', effort: 'XS' },
  sources: ['https://docs.docker.com/build/building/best-practices/#pin-base-image-versions'],
})

export const composeLatestTag: Rule = {
  meta,
  *run(repository) {
    const services = servicesOf(repository)
    const built = new Set(
      services.filter(({ service }) => service.build !== undefined).map(({ service }) => service.image?.value),
    )
    yield* oncePerPlace(
      services.flatMap(({ project, service }) => {
        const { image } = service
        if (image === undefined || image.value === '') return []
        const { tag, hasDigest } = parseImage(image.value)
        const isFloating = tag === 'latest' || (tag === undefined && !built.has(image.value) && !/\$/.test(image.raw))
        if (!isFloating || hasDigest || image.value === 'scratch') return []
        const isVariable = image.raw !== image.value
        return [
          {
            tier: isVariable ? 'review' : tierIn(project, image.loc),
            cause: `floating tags of ${image.loc.file}`,
            symbol: service.name,
            component: service.name,
            symptom: `Two starts of ${service.name} may run two different programs.`,
            rootCause: 'The image is named by a tag that moves.',
            evidence: [
              seen(
                image.loc,
                tag === undefined
                  ? 'The image has no tag, which means latest.'
                  : `The tag is latest${isVariable ? ' unless a variable says otherwise' : ''}.`,
              ),
            ],
          },
        ]
      }),
    )
  },
}
