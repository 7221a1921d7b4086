import { parentPort, workerData } from 'node:worker_threads'
import { prepareListAudit } from './audit.ts'
import { prepareBeside } from './beside.ts'
import { prepareDeadCauses, prepareFindUnnamed } from './causes.ts'
import { openForReading } from './connection.ts'
import { prepareCounts } from './counts.ts'
import { prepareFindDead, prepareMatchDead } from './dead-letters.ts'
import { prepareReadDrift } from './drift.ts'
import { type Reply, wireErrorOf } from './errors.ts'
import { prepareEventFacets } from './event-facets.ts'
import { prepareFindEvent, prepareFindEventForm, prepareReadBody } from './find-event.ts'
import { preparePauseList } from './pauses.ts'
import { prepareReadIndex } from './payload-index.ts'
import { prepareCountDead, prepareCountOld, prepareFindOld } from './prune.ts'
import { prepareQuestions } from './questions.ts'
import { prepareFindAhead } from './repair-times.ts'
import { prepareReadReplayJobs } from './replay-jobs.ts'
import { prepareReplayMatches } from './replay-matches.ts'
import { prepareSearchDeliveries } from './search-deliveries.ts'
import { prepareSearchEvents } from './search-events.ts'
import { prepareActivity, prepareFindTask, prepareSearchTasks } from './search-tasks.ts'
import { prepareSize } from './size.ts'
import { prepareReadStats } from './stats.ts'
import { prepareTail } from './tail.ts'
import { runCall } from './thread-calls.ts'
import type { Call, FromReader, ReaderOperations } from './thread-messages.ts'

/** The thread that answers searches, so that a slow search delays neither the main thread nor a commit. */

const port = parentPort
if (port === null) throw new Error('reader.ts runs as a worker thread')

const { path } = workerData as { path: string }
const db = openForReading(path)
const operations: ReaderOperations = {
  ...prepareSearchEvents(db),
  ...prepareReadIndex(db),
  ...prepareEventFacets(db),
  event: prepareFindEvent(db),
  beside: prepareBeside(db),
  eventForm: prepareFindEventForm(db),
  body: prepareReadBody(db),
  ...prepareTail(db),
  ...prepareReadDrift(db),
  deliveries: prepareSearchDeliveries(db),
  findUnnamed: prepareFindUnnamed(db),
  deadCauses: prepareDeadCauses(db),
  findDead: prepareFindDead(db),
  ...prepareMatchDead(db),
  counts: prepareCounts(db),
  size: prepareSize(path),
  tasks: prepareSearchTasks(db),
  task: prepareFindTask(db),
  questions: prepareQuestions(db),
  activity: prepareActivity(db),
  findAhead: prepareFindAhead(db),
  findOld: prepareFindOld(db),
  countOld: prepareCountOld(db),
  countDead: prepareCountDead(db),
  ...prepareReadStats(db),
  ...prepareReadReplayJobs(db),
  ...prepareReplayMatches(db),
  audit: prepareListAudit(db),
  pauses: preparePauseList(db),
}

port.on('message', (message: Call<ReaderOperations> | 'close') => {
  if (message === 'close') {
    db.close()
    port.close()
    return
  }
  const reply: FromReader = answer(message)
  const value = 'value' in reply ? reply.value : undefined
  // A body is transferred, not copied.
  port.postMessage(reply, value instanceof Uint8Array ? [value.buffer as ArrayBuffer] : [])
})

port.postMessage({ kind: 'ready' } satisfies FromReader)

/** Each answer is read in one transaction, which sees one state of the database. */
function answer(call: Call<ReaderOperations>): Reply {
  try {
    db.exec('BEGIN')
    return { id: call.id, value: runCall(operations, call) }
  } catch (error) {
    return { id: call.id, failed: wireErrorOf(error) }
  } finally {
    // The transaction has written nothing. After a damaged page SQLite would refuse to commit even that.
    if (db.isTransaction) db.exec('ROLLBACK')
  }
}
