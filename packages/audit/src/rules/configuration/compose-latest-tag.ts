// Images whose tag moves: none, `latest`, or one that names no version (`alpine`, `stable`). Two starts on two days may run two programs.
//   RX1. A digest or a tag with a number is silent, and so is an image that the same project builds; where it has a registry's name, it may be pulled
//   as well, and is for review.

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

const FLOATING = /^latest\b|^\D*$/
const REGISTRY = /^[\w-]+(\.[\w-]+)+(:\d+)?\//

export const composeLatestTag: Rule = {
  meta,
  *run(repository) {
    yield* oncePerPlace(
      servicesOf(repository).flatMap(({ project, service }) => {
        const { image } = service
        if (image === undefined || image.value === '') return []
        const { tag, hasDigest } = parseImage(image.value)
        const isVariable = image.raw !== image.value
        const isFloating = tag === undefined ? !isVariable : FLOATING.test(tag) && (!isVariable || tag === 'latest')
        const isBuilt = [...project.services.values()].some(
          (each) => each.build !== undefined && each.image?.value === image.value,
        )
        if (!isFloating || hasDigest || image.value === 'scratch' || (isBuilt && !REGISTRY.test(image.value))) return []
        return [
          {
            tier: isVariable || isBuilt ? 'review' : tierIn(project, image.loc),
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
                  : `The tag is ${tag}${isVariable ? ' unless a variable says otherwise' : ''}.`,
              ),
            ],
          },
        ]
      }),
    )
  },
}
