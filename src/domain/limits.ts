/**
 * Every bound that is not configuration, in one place. Nothing in Holdfast queues, loops or reads without one of these
 * or a configured limit beside it.
 */

/** Signatures looked at in one request, over all header values and labels; more is malformed. */
export const MAX_SIGNATURE_CANDIDATES = 32
/** A body of no more bytes is parsed within 5 ms, whatever it is made of, and so where it came; a longer one elsewhere. */
export const MAX_INLINE_BYTES = 65_536
/** Nesting of arrays and objects in a body; deeper is kept, but quarantined. */
export const MAX_JSON_DEPTH = 64
/** Characters of an event id or type; longer is quarantined under an id of our own. */
export const MAX_NAME_LENGTH = 256
/** Reasons kept for a quarantined event. */
export const MAX_REASONS = 8
/** Characters of a handler's error message kept in its attempt. */
export const MAX_ERROR_LENGTH = 2_000

/** Bytes of a request's header block: Node answers 431 past it. */
export const MAX_HEADER_BYTES = 16_384
/** Bytes of bodies still arriving, over all requests, before anything is proven of them; past it, 503. */
export const MAX_ARRIVING_BYTES = 128 * 1024 * 1024
/** Time for the whole request, body included; then 408. */
export const REQUEST_TIMEOUT_MS = 15_000
/** Time for the headers alone; then 408. */
export const HEADERS_TIMEOUT_MS = 10_000
export const KEEP_ALIVE_TIMEOUT_MS = 72_000
/** Bytes that the HTTP parser is given at once: of a new request's first read, and where each may be work (one-byte chunks, pipelined requests). */
export const SMALL_READ_BYTES = 2_048
export const PARSE_SLICE_BYTES = 512
/** Time of the listening thread that one peer's connections have before it is the next peer's turn, and of all turns before the loop's. */
export const PEER_TURN_MS = 0.25
export const ALL_TURNS_MS = 5
/** Bytes that wait to be parsed, over all connections; past it, the address that holds the most loses a connection. */
export const MAX_UNPARSED_BYTES = 64 * 1024 * 1024
/** Requests of one connection that wait for their answers; past it nothing more of it is read. */
export const MAX_UNANSWERED_REQUESTS = 16
/** Peers that are remembered for what they have proven, and as many for disorder; and for how long they are suspected of more. */
export const MAX_TRUSTED_PEERS = 4_096
export const SUSPICION_MS = 600_000
/**
 * Chunks that a body may come in, reads where it says how long it is, and how many bytes allow one more; past it the body is
 * refused. A read is a packet, of which a connection has one in a turn of the loop; of chunks it has a thousand.
 */
export const MAX_BODY_CHUNKS = 1_024
export const MAX_BODY_READS = 12_288
export const BODY_BYTES_PER_PIECE = 32
/** Chunks that senders make at most, and how many bytes allow one more; past it the sender's address is spared no turns. */
export const ORDINARY_BODY_CHUNKS = 64
export const ORDINARY_BYTES_PER_CHUNK = 512
/** Bytes that a body may take on the wire beyond twice its own: what chunk sizes and extensions add. */
export const MAX_FRAMING_BYTES = 131_072
/** How long a connection that is closed stays open for its sender to read the answer, and how much of what still comes is taken. */
export const LINGER_MS = 1_000
export const LINGER_BYTES = 65_536

/** Rows and bytes of one commit of the store. */
export const MAX_COMMIT_ROWS = 256
export const MAX_COMMIT_BYTES = 4 * 1024 * 1024
/** Events and bytes waiting for a commit; past either, 503. */
export const MAX_QUEUED_EVENTS = 4_096
export const MAX_QUEUED_BYTES = 64 * 1024 * 1024

/** The longest that a task may be waited for: ten years. */
export const MAX_TASK_MS = 10 * 366 * 86_400_000
/** Bytes of a task's request, and of its metadata, as JSON. */
export const MAX_TASK_REQUEST_BYTES = 1_048_576
export const MAX_TASK_METADATA_BYTES = 16_384

/** Connections that wait for the end of a task; past it, 503. */
export const MAX_WAITERS = 10_000
/** Seconds that one such wait may take. */
export const MAX_WAIT_SECONDS = 300

/** Times of one call to a provider: to connect, and in all; four times as long where its answer keeps coming. */
export const CALL_CONNECT_TIMEOUT_MS = 5_000
export const CALL_TIMEOUT_MS = 15_000
/** Connections to one source's provider, and calls that are open or wait for one; past it, the call is not made. */
export const MAX_CALL_CONNECTIONS = 64
export const MAX_OPEN_CALLS = 256
/** Bytes of providers' answers that are being read and kept, over all sources, but for what is short; past it, they wait. */
export const MAX_ARRIVING_ANSWER_BYTES = 32 * 1024 * 1024
/** Bytes of an answer about one submission, or of a page of registrations. */
export const MAX_SHORT_ANSWER_BYTES = 1_048_576

/** Items of one page of a list. */
export const DEFAULT_PAGE_SIZE = 50
export const MAX_PAGE_SIZE = 200

/** Seconds told to a provider with a 503. */
export const RETRY_AFTER_SECONDS = 5
