extension SyscallTable {
  /// Futexes.
  static let futexRows: [SyscallRow] = [
    SyscallRow("futex", partial: "no priority inheritance", FutexCalls.futex),
    SyscallRow("set_robust_list") {
      guard $0[1] == 24 else { throw Errno.EINVAL }
      $0.task.robustList = ($0[0], $0[1])
      return 0
    },
    SyscallRow("get_robust_list") {
      let task = $0.int(0) == 0 ? $0.task : $0.kernel.tasks[$0.int(0)]
      guard let task else { throw Errno.ESRCH }
      try $0.store($0[2], UInt64(24))
      try $0.store($0[1], task.robustList.head)
      return 0
    },
  ]
}

/// Handlers of `futex`.
///
/// - SeeAlso: Linux, `kernel/futex/syscalls.c`, `do_futex`
enum FutexCalls {
  @Sendable static func futex(_ call: SyscallCall) throws -> Int64 {
    let operation = call.int(1)
    let command = operation & ~(FutexOperation.privateFlag | FutexOperation.clockRealtime)
    let isPrivate = operation & FutexOperation.privateFlag != 0
    let usesRealtime = operation & FutexOperation.clockRealtime != 0
    let address = call[0]
    let value = call.uint(2)
    func key(_ va: UInt64) throws -> FutexKey {
      guard va & 3 == 0 else { throw Errno.EINVAL }
      try call.checkUser(va, 4)
      return try call.space.futexKey(va, shared: !isPrivate)
    }
    switch command {
    case FutexOperation.WAIT, FutexOperation.WAIT_BITSET:
      if usesRealtime, command == FutexOperation.WAIT { throw Errno.ENOSYS }
      let bitset = command == FutexOperation.WAIT ? FutexOperation.matchAny : call.uint(5)
      let deadline = try call.deadline {
        guard let time = try call.timeout(3) else { return nil }
        if command == FutexOperation.WAIT { return call.after(time) }
        return usesRealtime ? call.kernel.monotonic(realtime: time) : time
      }
      return try wait(
        call, address, value, deadline: deadline, bitset: bitset, isPrivate: isPrivate,
        restartable: command == FutexOperation.WAIT || command == FutexOperation.WAIT_BITSET)
    case FutexOperation.WAKE, FutexOperation.WAKE_BITSET:
      let bitset = command == FutexOperation.WAKE ? FutexOperation.matchAny : call.uint(5)
      guard bitset != 0 else { throw Errno.EINVAL }
      let count = max(1, Int(call.int(2)))
      return Int64(call.kernel.wakeFutex(try key(address), count: count, bitset: bitset))
    case FutexOperation.REQUEUE, FutexOperation.CMP_REQUEUE:
      let wake = call.int(2)
      let move = call.int(3)
      guard wake >= 0, move >= 0 else { throw Errno.EINVAL }
      let from = try key(address)
      let to = try key(call[4])
      if command == FutexOperation.CMP_REQUEUE,
        try call.load(address, as: UInt32.self) != call.uint(5)
      {
        throw Errno.EAGAIN
      }
      let (woken, moved) = call.kernel.requeueFutex(
        from, to, wake: Int(wake), move: Int(move))
      return Int64(command == FutexOperation.REQUEUE ? woken : woken + moved)
    case FutexOperation.WAKE_OP: return try wakeOp(call, key)
    default: throw Errno.ENOSYS
    }
  }

  static func wait(
    _ call: SyscallCall, _ address: UInt64, _ value: UInt32, deadline: UInt64?, bitset: UInt32,
    isPrivate: Bool, restartable: Bool
  ) throws -> Int64 {
    guard bitset != 0, address & 3 == 0 else { throw Errno.EINVAL }
    try call.checkUser(address, 4)
    let kernel = call.kernel
    let task = call.task
    if let waiting = task.progress?.object as? FutexWait {
      if waiting.isWoken { return 0 }
      if let deadline, kernel.now >= deadline {
        kernel.remove(waiting)
        throw Errno.ETIMEDOUT
      }
      if task.hasSignal {
        kernel.remove(waiting)
        guard let deadline, restartable else { throw Errno.ERESTARTSYS }
        task.restartBlock = .futex(
          address: address, value: value, deadline: deadline, bitset: bitset,
          isPrivate: isPrivate)
        throw Errno.ERESTART_RESTARTBLOCK
      }
      task.sleep(on: [], until: deadline, state: .interruptible)
      throw Blocked()
    }
    let key = try call.space.futexKey(address, shared: !isPrivate)
    guard try call.load(address, as: UInt32.self) == value else { throw Errno.EAGAIN }
    if let deadline, kernel.now >= deadline { throw Errno.ETIMEDOUT }
    if task.hasSignal { throw Errno.ERESTARTSYS }
    let waiting = FutexWait(task: task, key: key, bitset: bitset)
    kernel.enqueue(waiting)
    task.progress = Progress(deadline: deadline, object: waiting)
    task.sleep(on: [], until: deadline, state: .interruptible)
    throw Blocked()
  }

  /// - SeeAlso: Linux, `kernel/futex/waitwake.c`, `futex_wake_op`, `futex_atomic_op_inuser`
  private static func wakeOp(
    _ call: SyscallCall, _ key: (UInt64) throws -> FutexKey
  ) throws
    -> Int64
  {
    let encoded = call.uint(5)
    var operand = Int32(bitPattern: encoded << 8) >> 20
    let compare = Int32(bitPattern: encoded << 20) >> 20
    let operation = (encoded >> 28) & 7
    if encoded & 0x8000_0000 != 0 {
      guard operand >= 0, operand <= 31 else { throw Errno.EINVAL }
      operand = 1 << operand
    }
    let first = try key(call[0])
    let second = try key(call[4])
    let old = try call.load(call[4], as: Int32.self)
    let new: Int32
    switch operation {
    case 0: new = operand
    case 1: new = old &+ operand
    case 2: new = old | operand
    case 3: new = old & ~operand
    case 4: new = old ^ operand
    default: throw Errno.ENOSYS
    }
    let holds: Bool
    switch (encoded >> 24) & 15 {
    case 0: holds = old == compare
    case 1: holds = old != compare
    case 2: holds = old < compare
    case 3: holds = old >= compare
    case 4: holds = old <= compare
    case 5: holds = old > compare
    default: throw Errno.ENOSYS
    }
    try call.store(call[4], new)
    var woken = call.kernel.wakeFutex(first, count: max(1, Int(call.int(2))))
    if holds {
      woken += call.kernel.wakeFutex(second, count: max(1, Int(call.int(3))))
    }
    return Int64(woken)
  }
}
