/** The store cannot be opened until an operator has put something right; the message is one sentence. */
export class StoreRefused extends Error {
  override readonly name = 'StoreRefused'
}
