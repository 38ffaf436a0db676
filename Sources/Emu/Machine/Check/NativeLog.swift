import TraceFile
import X86

/// A register trace that ``NativeTracer`` made, as steps.
struct NativeLog: ForeignLog {
  private var reader: NativeLogReader
  private var ahead: NativeEvent?
  private var isAtEnd = false

  let unit = "instruction"
  let knowsMemory = true
  /// Why the trace ends; `nil` where its writer was killed.
  var end: NativeEnd? { reader.end }

  init(_ file: TraceReader) { reader = NativeLogReader(file) }

  private func failure(_ what: String) -> LogError {
    LogError(line: Int(clamping: reader.insns), what: what, unit: unit)
  }

  private mutating func event() throws(LogError) -> NativeEvent? {
    if let event = ahead {
      ahead = nil
      return event
    }
    guard !isAtEnd else { return nil }
    do throws(TraceFileError) {
      let event = try reader.next()
      if event == nil { isAtEnd = true }
      return event
    } catch {
      isAtEnd = true
      throw failure(error.description)
    }
  }

  mutating func next() throws(LogError) -> ForeignStep? {
    var step = ForeignStep(line: 0, insns: [])
    while let event = try event() {
      step.line = Int(clamping: reader.insns)
      switch event {
      case .written(let address, let bytes):
        // Before the first instruction; behind others it belongs to them.
        step.written.append((address, bytes))
      case .expected(let address, let bytes): step.memory = (step.memory ?? []) + [(address, bytes)]
      case .compared: step.memory = step.memory ?? []
      case .step(let pc, let bytes, let changes, let next):
        step.insns = [.init(pc: pc, bytes: bytes)]
        step.next = next
        take(changes, &step)
        try takeWritten(&step)
        return step
      case .arrival(_, let changes, let next):
        step.isArrival = true
        step.next = next
        take(changes, &step)
        try takeWritten(&step)
        return step
      case .end:
        guard step.memory != nil else { return nil }
        step.isArrival = true
        return step
      }
    }
    return nil
  }

  private func take(_ changes: [NativeChange], _ step: inout ForeignStep) {
    for change in changes {
      step.after[X86TraceISA.program[change.register].slot] = change.value
    }
  }

  private mutating func takeWritten(_ step: inout ForeignStep) throws(LogError) {
    while let event = try event() {
      guard case .written(let address, let bytes) = event else {
        ahead = event
        return
      }
      step.written.append((address, bytes))
    }
  }
}
