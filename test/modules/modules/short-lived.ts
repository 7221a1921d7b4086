import wilful from './wilful.ts'

/** Loads, and then ends its thread: as one does that fetches something, and does not catch that it cannot. */
setTimeout(() => process.exit(4), 20)

export default wilful
