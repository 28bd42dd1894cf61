// Kinds of settings. What the schema is built of: bounded numbers, spans, and texts that a parser turns into domain values.

import { z } from 'zod'
import type { Complaint, Parsed } from './addresses.ts'

export const DAY_MS = 86_400_000
export const TEXT_MAX = 4_096

/** The schema's metadata beside its description: `examples` feed both editors and problems. */
export const meta = (description: string, ...examples: readonly string[]) => ({ description, examples: [...examples] })

export const whole = (least: number, most: number, description: string) =>
  z.int().min(least).max(most).describe(description)

export const number = (least: number, most: number, description: string) =>
  z.number().min(least).max(most).describe(description)

export const duration = (mostMs: number, description: string) => whole(1, mostMs, `${description}, ms.`)

/** Longest ten years. */
export const days = (description: string) => whole(1, 3_650, `${description}, days.`)

/** A text that `parse` turns into a domain value, or complains about. */
export const address = <T>(parse: (text: string) => Parsed<T>) =>
  z
    .string()
    .max(TEXT_MAX)
    .transform((text, context) => settle(parse(text), context))

/** A list of texts, or one text with commas. */
export const addresses = <T>(parse: (words: readonly string[]) => Parsed<T>, most: number) =>
  z.union([z.string().max(TEXT_MAX), z.array(z.string().max(64)).max(most)]).transform((given, context) => {
    const words = typeof given === 'string' ? given.split(',').map((word) => word.trim()) : given
    return settle(parse(words), context)
  })

function settle<T>(parsed: Parsed<T>, context: z.core.$RefinementCtx): T {
  if ('value' in parsed) return parsed.value
  const { wrong, instead }: Complaint = parsed
  context.addIssue({ code: 'custom', message: wrong, params: { instead } })
  return z.NEVER
}
