import { type Html, own } from '../html/html.ts'
import { type MarkName, state, type Tone } from '../html/marks.ts'

/** One thing that is so of a source or a handler, with its reason. The first one is its state. */
export interface Finding {
  readonly mark: MarkName
  readonly tone?: Tone
  readonly word: string
  /** A few words, for a list. */
  readonly why: Html
  /** Sentences, with what to do. */
  readonly says: Html
}

export const stateOf = ({ mark, word, tone }: Finding): Html => state(mark, own(word), tone)
