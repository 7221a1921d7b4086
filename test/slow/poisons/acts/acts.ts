import { blocking } from './blocking.ts'
import { ending } from './ending.ts'
import { meddling } from './meddling.ts'
import { memory } from './memory.ts'
import { output } from './output.ts'

export type { Act } from './act.ts'

export const acts = { ...blocking, ...ending, ...memory, ...output, ...meddling }

export type ActName = keyof typeof acts
