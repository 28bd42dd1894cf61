// An audit in a few lines, for whoever stands at a terminal: the grade, the worst three with their places and what to do, and where the rest is.
//   RW1. The grade and what is worst are said in the first four lines, each with its place and what to do; a terminal's width breaks lines between words, and
//        whatever the repository holds moves no cursor.
//   RW2. Colour is only for a terminal that wants it, and says nothing that a word does not.

import { SEVERITIES } from '../model/finding.ts'
import { NOTHING_READ } from './coverage.ts'
import { NOT_MEASURABLE, showPlace } from './figure.ts'
import { briefly } from './plan.ts'
import type { Report, ReportedFinding } from './report.ts'

const WORST = 3
const COLOURS = { critical: 35, high: 31, medium: 33, low: 36 } as const

export interface Screen {
  /** Undefined: lines are not broken. */
  readonly columns: number | undefined
  readonly hasColour: boolean
}

export function sayGrade({ grade, figures }: Report, { columns, hasColour }: Screen): string {
  if (grade === null) return `${wrap(`grade ${NOT_MEASURABLE}. ${NOTHING_READ['nothing known']}`, columns, '  ')}\n`
  const counts = SEVERITIES.flatMap((severity) => {
    const { value } = figures[severity]
    return value === 0 ? [] : [paint(`${value} ${severity}`, COLOURS[severity], hasColour)]
  })
  const split = counts.length === 0 ? '' : ` (${counts.join(', ')})`
  return `${paint(`grade ${grade}`, 1, hasColour)}: ${figures.strong.value} strong${split}, ${figures.review.value} for review (static)\n`
}

/** The first of the top ten, or of those that count beside a baseline. */
export function sayWorst({ topTen, findings }: Report, counted: Report['findings'], screen: Screen): string {
  const top = topTen.flatMap((print) => findings.find(({ fingerprint }) => fingerprint === print) ?? [])
  const worst = counted === findings ? top : counted
  return worst
    .slice(0, WORST)
    .map((finding, index) => `${lineOf(finding, index, screen)}\n`)
    .join('')
}

/** RW1. */
function lineOf({ severity, tier, title, evidence, remedies }: ReportedFinding, index: number, screen: Screen): string {
  const place = evidence[0] === undefined ? '' : showPlace(evidence[0])
  const doing = remedies[0] === undefined ? '' : ` Do: ${briefly(remedies[0].text)}`
  const head = `${index + 1} ${severity}${tier === 'review' ? ', for review' : ''}`
  const text = `${head} ${place}${place === '' ? '' : ': '}${title}.${doing}`.replaceAll(
    /[\p{Cc}\p{Bidi_Control}]+/gu,
    ' ',
  )
  const broken = wrap(text, screen.columns, '  ')
  return broken.replace(head, paint(head, COLOURS[severity], screen.hasColour))
}

/** RW1: names of files and texts of reports may hold anything. */
export function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Bidi_Control}]+/gu, ' ')
}

/** Between words; a word that is longer stands alone. */
export function wrap(text: string, columns: number | undefined, indent: string): string {
  if (columns === undefined) return text
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/(?<=\S) /)) {
    const longer = line === '' ? word : `${line} ${word}`
    if (longer.length < columns || line.trim() === '') line = longer
    else {
      lines.push(line)
      line = `${indent}${word.trimStart()}`
    }
  }
  return [...lines, line].join('\n')
}

/** RW2. */
function paint(text: string, colour: number, hasColour: boolean): string {
  return hasColour ? `\u001b[${colour}m${text}\u001b[0m` : text
}
