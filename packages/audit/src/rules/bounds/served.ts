// Source that serves nobody: what people start by hand for a while, and stand-ins for other systems.

import { isByHand } from '../places.ts'

const STAND_IN = /mock|stub|fake/i

export function isServed(file: string): boolean {
  return !isByHand(file) && !STAND_IN.test(file)
}
