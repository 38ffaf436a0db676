extension SyscallTable {
  /// Waiting for one of many descriptors.
  static let pollRows: [SyscallRow] = [
    SyscallRow("ppoll") { call in
      let mask = try SignalCalls.optionalMask(call, 3, size: call[4])
      let deadline = try PollCalls.deadline(call, 2)
      let result = try PollCalls.poll(call, call[0], call[1], deadline: deadline, mask: mask)
      PollCalls.storeRemaining(call, 2, deadline)
      return result
    },
    SyscallRow("poll") { call in
      let timeout = call.int(2)
      let deadline = call.deadline {
        timeout < 0 ? nil : call.after(UInt64(timeout) &* 1_000_000)
      }
      return try PollCalls.poll(call, call[0], call[1], deadline: deadline, mask: nil)
    },
    SyscallRow("pselect6") { call in
      var mask: SignalSet?
      if call[5] != 0 {
        let pack = try call.read(call[5], 16)
        let address = pack.get(0, UInt64.self)
        if address != 0 {
          guard pack.get(8, UInt64.self) == 8 else { throw Errno.EINVAL }
          mask = SignalSet(try SignalCalls.mask(call, address).bits & ~SignalSet.unblockable)
        }
      }
      let deadline = try PollCalls.deadline(call, 4)
      let result = try PollCalls.select(call, deadline: deadline, mask: mask)
      PollCalls.storeRemaining(call, 4, deadline)
      return result
    },
  ]
}

/// Handlers of the poll family.
enum PollCalls {
  /// The deadline of a `struct timespec` argument; `nil` where it is null.
  static func deadline(_ call: SyscallCall, _ index: Int) throws -> UInt64? {
    try call.deadline { try call.timeout(index).map(call.after) }
  }

  /// Tells the time left, as `ppoll` and `pselect6` do; failures are not reported.
  static func storeRemaining(_ call: SyscallCall, _ index: Int, _ deadline: UInt64?) {
    guard let deadline, call[index] != 0 else { return }
    let now = call.kernel.now
    try? call.write(call[index], ABI.timespec(deadline > now ? deadline - now : 0))
  }

  /// Puts a temporary signal mask in force at the first try.
  static func begin(_ call: SyscallCall, _ mask: SignalSet?) {
    guard let mask, call.isFirstTry else { return }
    call.task.savedMask = call.task.blocked
    call.task.blocked = mask
    call.kernel.recalculateSignals(call.task)
  }

  /// Puts the mask back where no signal ended the call.
  static func end(_ call: SyscallCall, _ mask: SignalSet?) {
    guard mask != nil, let saved = call.task.savedMask else { return }
    call.task.savedMask = nil
    call.task.blocked = saved
    call.kernel.recalculateSignals(call.task)
  }

  /// The mask is put back if `body` neither blocks nor ends by a signal.
  static func withMask(
    _ call: SyscallCall, _ mask: SignalSet?, _ body: () throws -> Int64
  ) throws -> Int64 {
    begin(call, mask)
    do {
      let result = try body()
      end(call, mask)
      return result
    } catch let error as Errno {
      switch error {
      case .ERESTARTNOHAND, .ERESTARTSYS, .ERESTART_RESTARTBLOCK, .EINTR: break
      default: end(call, mask)
      }
      throw error
    }
  }

  /// - SeeAlso: Linux, `fs/select.c`, `do_sys_poll`
  static func poll(
    _ call: SyscallCall, _ descriptors: UInt64, _ count: UInt64, deadline: UInt64?,
    mask: SignalSet?
  ) throws -> Int64 {
    guard count <= call.process.limits[ResourceLimits.files].soft, count <= 1 << 20 else {
      throw Errno.EINVAL
    }
    return try withMask(call, mask) {
      var entries = try call.read(descriptors, Int(count) * 8)
      var queues: [WaitQueue] = []
      var ready: Int64 = 0
      for index in 0..<Int(count) {
        let fd = entries.get(index * 8, Int32.self)
        let wanted = PollEvents(rawValue: UInt32(entries.get(index * 8 + 4, UInt16.self)))
        var events: PollEvents = []
        if fd >= 0 {
          if let file = try? call.files[fd] {
            events = file.poll().intersection(wanted.union([.error, .hangUp]))
            if events.isEmpty { queues += waitQueues(file) }
          } else {
            events = .invalid
          }
        }
        entries.put(index * 8 + 6, UInt16(truncatingIfNeeded: events.rawValue))
        if !events.isEmpty { ready += 1 }
      }
      if ready == 0, !isOver(call, deadline) {
        try call.wait(on: queues, until: deadline, orFail: .ERESTARTNOHAND)
      }
      for index in 0..<Int(count) {
        try call.store(
          descriptors &+ UInt64(index * 8 + 6), entries.get(index * 8 + 6, UInt16.self))
      }
      return ready
    }
  }

  static func isOver(_ call: SyscallCall, _ deadline: UInt64?) -> Bool {
    deadline.map { call.kernel.now >= $0 } ?? false
  }

  static func waitQueues(_ file: OpenFile) -> [WaitQueue] {
    if let set = file.inode as? EpollInode { return set.queues() }
    var result: [WaitQueue] = []
    if let queue = file.readQueue { result.append(queue) }
    if let queue = file.writeQueue, queue !== result.first { result.append(queue) }
    return result
  }

  private static let inputs: PollEvents = [.input, .readNormal, .hangUp, .error]
  private static let outputs: PollEvents = [.output, .writeNormal, .error]

  /// - SeeAlso: Linux, `fs/select.c`, `do_select`
  static func select(
    _ call: SyscallCall, deadline: UInt64?, mask: SignalSet?
  ) throws -> Int64 {
    let count = call.int(0)
    guard count >= 0 else { throw Errno.EINVAL }
    let limit = min(Int(count), 65_536)
    let bytes = (limit + 63) / 64 * 8
    return try withMask(call, mask) {
      let sets = try (1...3).map { index in
        call[index] == 0 ? [] : try call.read(call[index], bytes)
      }
      var results = sets.map { [UInt8](repeating: 0, count: $0.count) }
      var queues: [WaitQueue] = []
      var ready: Int64 = 0
      for fd in 0..<limit {
        let bit = UInt8(1 << (fd & 7))
        let wanted = sets.map { fd / 8 < $0.count && $0[fd / 8] & bit != 0 }
        guard wanted.contains(true) else { continue }
        let file = try call.files[Int32(fd)]
        let events = file.poll()
        let has = [
          !events.isDisjoint(with: inputs), !events.isDisjoint(with: outputs),
          events.contains(.priority),
        ]
        for kind in 0..<3 where wanted[kind] && has[kind] {
          results[kind][fd / 8] |= bit
          ready += 1
        }
        queues += waitQueues(file)
      }
      if ready == 0, !isOver(call, deadline) {
        try call.wait(on: queues, until: deadline, orFail: .ERESTARTNOHAND)
      }
      for index in 1...3 where call[index] != 0 {
        try call.write(call[index], results[index - 1])
      }
      return ready
    }
  }
}
