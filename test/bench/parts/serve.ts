import { startHoldfast } from '../../../src/app/app.ts'
import { readConfig } from '../../../src/app/config.ts'
import { readEnvironment } from '../../../src/app/environment.ts'
import { OPTIONAL_PARTS } from '../../../src/app/tuning.ts'
import { createLog } from '../../../src/log/log.ts'

/** The service without the parts that are named after it. */
const without = new Set(OPTIONAL_PARTS.filter((part) => process.argv.includes(part)))
const read = readConfig(readEnvironment())
const holdfast = await startHoldfast(read, createLog(read.config.logLevel), { without })
process.once('SIGTERM', () => void holdfast.stop().then(() => process.exit(0)))
