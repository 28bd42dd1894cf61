// How to see findings happen: findings name their recipe.
//   QS16. Every recipe that a finding names stands in the report once, and says that nothing of it was run.

import { DEMONSTRATIONS, type Demonstration } from '../rules/demonstrations/index.ts'
import { code } from './markdown-text.ts'
import type { Report } from './report.ts'

export function recipes({ findings }: Report): string {
  const used = new Set(findings.map(({ reproduction }) => reproduction?.demonstration))
  const parts = Object.entries(DEMONSTRATIONS).flatMap(([name, demonstration]) =>
    used.has(name) ? [recipe(name, demonstration)] : [],
  )
  if (parts.length === 0) return '## How to see it happen\n\nNothing here has to be run to be seen.'
  return [
    '## How to see it happen',
    'Recipes, not measurements: nothing of them was run. SERVICE is the component of the finding, DEPENDENCY the far end of its link, REQUEST what leads to it.',
    ...parts,
  ].join('\n\n')
}

function recipe(name: string, { title, steps, expected, mended }: Demonstration): string {
  const list = steps.map((step, index) => `${index + 1}. ${step.startsWith('$ ') ? code(step.slice(2)) : step}`)
  return [`### ${name}: ${title}`, '', ...list, '', `Expected: ${expected}. Mended: ${mended}.`].join('\n')
}
