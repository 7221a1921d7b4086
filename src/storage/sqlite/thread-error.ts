import { type ErrorCode, HoldfastError } from '../../domain/errors.ts'

/** An error on its way between threads, where its class would be lost. */
export interface WireError {
  readonly error: ErrorCode
  readonly message: string
  /** A page of the database is damaged. */
  readonly isDamage?: boolean
}

/** The answer to a batch or a call. */
export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failed: WireError }

export const errorOf = ({ error, message }: WireError): HoldfastError => new HoldfastError(error, message)
