/**
 * The bounds that are not configuration and are used by several rooms. Every queue, loop and read in Holdfast has a bound: one of
 * these, a constant beside its code, or a setting.
 */

/** Signatures of one request that are checked, over all header values and labels; a request with more is malformed. */
export const MAX_SIGNATURE_CANDIDATES = 32
/** A body of at most this many bytes is parsed in the main thread, within 5 ms; a longer one in another thread. */
export const MAX_INLINE_BYTES = 65_536
/** Nesting of arrays and objects in a body; a deeper one is stored, but quarantined. */
export const MAX_JSON_DEPTH = 64
/** Characters of an event id or type; an event with a longer one is quarantined under an id that Holdfast makes. */
export const MAX_NAME_LENGTH = 256
/** Reasons that are stored for a quarantined event. */
export const MAX_REASONS = 8
/** Characters of a handler's error message that its attempt keeps. */
export const MAX_ERROR_LENGTH = 2_000

/** Bytes of a request's headers; Node answers 431 to more. */
export const MAX_HEADER_BYTES = 16_384
/** Bytes of arriving bodies that are not verified yet, over all requests; beyond it the service answers 503. */
export const MAX_ARRIVING_BYTES = 128 * 1024 * 1024
/** Time for a whole request with its body; then the service answers 408. */
export const REQUEST_TIMEOUT_MS = 15_000
/** Time for the headers of a request; then the service answers 408. */
export const HEADERS_TIMEOUT_MS = 10_000
export const KEEP_ALIVE_TIMEOUT_MS = 72_000
/**
 * Bytes that the HTTP parser gets at once: of a small read of an idle connection, and of other reads, in which each byte may be
 * expensive (one-byte chunks, pipelined requests).
 */
export const SMALL_READ_BYTES = 2_048
export const PARSE_SLICE_BYTES = 512
/** How long the main thread parses for one peer's connections before the next peer has its turn, and for all peers before the event loop goes on. */
export const PEER_TURN_MS = 0.25
export const ALL_TURNS_MS = 5
/** Bytes that wait to be parsed, over all connections; beyond it the address with the most bytes loses a connection. */
export const MAX_UNPARSED_BYTES = 64 * 1024 * 1024
/** Requests of one connection that wait for their answers; beyond it the connection is not read. */
export const MAX_UNANSWERED_REQUESTS = 16
/** The most peers that are remembered as trusted, and the most that are remembered as suspicious; how long a peer stays suspicious. */
export const MAX_TRUSTED_PEERS = 4_096
export const SUSPICION_MS = 600_000
/**
 * How many chunks a chunked body may have, and how many reads a body of declared length may take; each `BODY_BYTES_PER_PIECE` allow one more.
 * A body with more is refused. In one turn of the event loop a connection gets one read (a packet), which may contain a thousand
 * chunks.
 */
export const MAX_BODY_CHUNKS = 1_024
export const MAX_BODY_READS = 12_288
export const BODY_BYTES_PER_PIECE = 32
/**
 * The most chunks that ordinary senders make; each `ORDINARY_BYTES_PER_CHUNK` allow one more. The peer of a body with more is not trusted any
 * more, and its connections take turns.
 */
export const ORDINARY_BODY_CHUNKS = 64
export const ORDINARY_BYTES_PER_CHUNK = 512
/** Bytes that a body may take on the wire beyond twice its length, for chunk sizes and extensions. */
export const MAX_FRAMING_BYTES = 131_072
/** How long a refused connection stays open so that its sender can read the answer, and how many more bytes are read from it. */
export const LINGER_MS = 1_000
export const LINGER_BYTES = 65_536

/** Rows and bytes of one commit to the store. */
export const MAX_COMMIT_ROWS = 256
export const MAX_COMMIT_BYTES = 4 * 1024 * 1024
/** Events and bytes that wait for a commit; beyond either the service answers 503. */
export const MAX_QUEUED_EVENTS = 4_096
export const MAX_QUEUED_BYTES = 64 * 1024 * 1024

/** The longest wait for a task: ten years. */
export const MAX_TASK_MS = 10 * 366 * 86_400_000
/** Bytes of a task's request, and of its metadata, as JSON. */
export const MAX_TASK_REQUEST_BYTES = 1_048_576
export const MAX_TASK_METADATA_BYTES = 16_384

/** Connections that wait for the end of a task; beyond it the service answers 503. */
export const MAX_WAITERS = 10_000
/** The longest such wait, in seconds. */
export const MAX_WAIT_SECONDS = 300

/** Time of one call to a provider: to connect, and in all. A call whose answer keeps arriving may take four times as long in all. */
export const CALL_CONNECT_TIMEOUT_MS = 5_000
export const CALL_TIMEOUT_MS = 15_000
/** Connections to one source's provider, and calls that are open or wait for a connection; beyond it a call is not made. */
export const MAX_CALL_CONNECTIONS = 64
export const MAX_OPEN_CALLS = 256
/** Bytes of providers' answers in memory, over all sources, without short answers; beyond it answers wait. */
export const MAX_ARRIVING_ANSWER_BYTES = 32 * 1024 * 1024
/** Bytes of an answer to a submission, or of a page of registrations. */
export const MAX_SHORT_ANSWER_BYTES = 1_048_576

/** Items of one page of a list. */
export const DEFAULT_PAGE_SIZE = 50
export const MAX_PAGE_SIZE = 200

/** `Retry-After` of a 503 answer to a provider, in seconds. */
export const RETRY_AFTER_SECONDS = 5

/** The longest time that a timer can wait: about 24.8 days. */
export const MAX_TIMER_MS = 2 ** 31 - 1
/** The most attempts that a delivery can have. */
export const MAX_RETRY_ATTEMPTS = 1_000
/** The most attempts of one handler that its rate limit can let start in one period. */
export const MAX_RATE_LIMIT = 1_000_000
