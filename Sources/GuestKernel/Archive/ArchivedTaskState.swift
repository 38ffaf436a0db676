import Engine

// Small parts of tasks and of the kernel's report.

extension Errno: Archived {
  package static func placeholder(_ a: Archive) -> Errno { .EPERM }
  package mutating func archive(_ a: Archive) { a.enumeration("", &self) }
}

extension TaskUsage: Archived {
  package static func placeholder(_ a: Archive) -> TaskUsage { TaskUsage() }
  package mutating func archive(_ a: Archive) {
    a("voluntarySwitches", &voluntarySwitches)
    a("involuntarySwitches", &involuntarySwitches)
    a("minorFaults", &minorFaults)
    a("majorFaults", &majorFaults)
  }
}

extension Progress: Archived {
  package static func placeholder(_ a: Archive) -> Progress { Progress() }
  package mutating func archive(_ a: Archive) {
    a("deadline", &deadline)
    a("bytes", &bytes)
    a("stage", &stage)
    a.any("object", &object)
  }
}

extension RestartBlock: Archived {
  package static func placeholder(_ a: Archive) -> RestartBlock {
    .nanosleep(deadline: 0, remaining: 0)
  }

  package mutating func archive(_ a: Archive) {
    var kind: UInt8
    var (address, other, deadline): (UInt64, UInt64, UInt64) = (0, 0, 0)
    var (value, bitset): (UInt32, UInt32) = (0, 0)
    var isPrivate = false
    switch self {
    case .nanosleep(let end, let remaining): (kind, deadline, other) = (0, end, remaining)
    case .futex(let at, let expected, let end, let bits, let own):
      (kind, address, value, deadline, bitset, isPrivate) = (1, at, expected, end, bits, own)
    case .poll(let at, let count, let end): (kind, address, other, deadline) = (2, at, count, end)
    }
    kind = a.choice(kind, below: 3)
    a("", &address)
    a("", &other)
    a("", &deadline)
    a("", &value)
    a("", &bitset)
    a("", &isPrivate)
    guard a.isReading else { return }
    switch kind {
    case 0: self = .nanosleep(deadline: deadline, remaining: other)
    case 1:
      self = .futex(
        address: address, value: value, deadline: deadline, bitset: bitset, isPrivate: isPrivate)
    default: self = .poll(descriptors: address, count: other, deadline: deadline)
    }
  }
}

extension ExitStatus: Archived {
  package static func placeholder(_ a: Archive) -> ExitStatus { .exited(0) }
  package mutating func archive(_ a: Archive) {
    var kind: UInt8
    var number: Int32 = 0
    var text = ""
    switch self {
    case .exited(let code): (kind, number) = (0, code)
    case .killed(let signal): (kind, number) = (1, signal)
    case .panicked(let message): (kind, text) = (2, message)
    }
    kind = a.choice(kind, below: 3)
    a("", &number)
    a("", &text)
    guard a.isReading else { return }
    self = kind == 0 ? .exited(number) : kind == 1 ? .killed(number) : .panicked(text)
  }
}

extension FatalSignal: Archived {
  package static func placeholder(_ a: Archive) -> FatalSignal {
    FatalSignal(signal: 0, pc: 0, address: nil, pid: 0, comm: "", mapping: nil, symbol: nil)
  }
  package mutating func archive(_ a: Archive) {
    a("signal", &signal)
    a("pc", &pc)
    a("address", &address)
    a("pid", &pid)
    a("comm", &comm)
    var path = mapping?.path
    var offset = mapping?.offset ?? 0
    a.parts("mapping") {
      a("path", &path)
      a("offset", &offset)
    }
    if a.isReading { mapping = path.map { ($0, offset) } }
    a("symbol", &symbol)
  }
}

extension KernelStatistics: Archived {
  package static func placeholder(_ a: Archive) -> KernelStatistics { KernelStatistics() }
  package mutating func archive(_ a: Archive) {
    a("pageFaults", &pageFaults)
    a("contextSwitches", &contextSwitches)
    a("syscalls", &syscalls)
    a("unsupported", &unsupported)
    a("ticks", &ticks)
    a("signalsDelivered", &signalsDelivered)
    a("tasksCreated", &tasksCreated)
  }
}
