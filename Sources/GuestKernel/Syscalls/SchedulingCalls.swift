extension SyscallTable {
  private static let policyNote = "policies and priorities are kept, and do not change the turn"

  /// Scheduling parameters.
  static let schedulingRows: [SyscallRow] = [
    SyscallRow("sched_yield") {
      $0.task.block.flags.insert(.needResched)
      return 0
    },
    SyscallRow("sched_getaffinity") { call in
      let size = call.uint(1)
      guard size >= 8, size & 7 == 0 else { throw Errno.EINVAL }
      let task = try SchedulingCalls.task(call)
      try call.store(call[2], task.affinity)
      return 8
    },
    SyscallRow("sched_setaffinity") { call in
      let task = try SchedulingCalls.task(call)
      let bytes = try call.read(call[2], Int(min(call.uint(1), 8)))
      guard (bytes.first ?? 0) & 1 != 0 else { throw Errno.EINVAL }
      task.affinity = 1
      return 0
    },
    SyscallRow("sched_getscheduler") { Int64(try SchedulingCalls.task($0).policy.policy) },
    SyscallRow("sched_getparam") {
      try $0.store($0[1], SchedulingCalls.task($0).policy.priority)
      return 0
    },
    SyscallRow("sched_setscheduler", partial: policyNote) {
      try SchedulingCalls.set($0, $0.int(1) & ~0x4000_0000, $0.load($0[2], as: Int32.self))
    },
    SyscallRow("sched_setparam", partial: policyNote) {
      let policy = try SchedulingCalls.task($0).policy.policy
      return try SchedulingCalls.set($0, policy, $0.load($0[1], as: Int32.self))
    },
    SyscallRow("sched_get_priority_max") { try SchedulingCalls.range($0.int(0)).upper },
    SyscallRow("sched_get_priority_min") { try SchedulingCalls.range($0.int(0)).lower },
    SyscallRow("sched_rr_get_interval") {
      _ = try SchedulingCalls.task($0)
      try $0.write($0[1], ABI.timespec(Kernel.quantum))
      return 0
    },
    SyscallRow("sched_setattr", partial: policyNote) { call in
      guard call[1] != 0, call.uint(2) == 0 else { throw Errno.EINVAL }
      let bytes = try call.read(call[1], 48)
      let task = try SchedulingCalls.task(call)
      _ = try SchedulingCalls.set(
        call, bytes.get(4, Int32.self), Int32(truncatingIfNeeded: bytes.get(20, UInt32.self)))
      task.nice = max(-20, min(19, bytes.get(16, Int32.self)))
      return 0
    },
    SyscallRow("sched_getattr") { call in
      guard call.uint(2) >= 48, call.uint(3) == 0 else { throw Errno.EINVAL }
      let task = try SchedulingCalls.task(call)
      var bytes = [UInt8](repeating: 0, count: 48)
      bytes.put(0, UInt32(48))
      bytes.put(4, task.policy.policy)
      bytes.put(16, task.nice)
      bytes.put(20, task.policy.priority)
      try call.write(call[1], bytes)
      return 0
    },
    SyscallRow("getpriority", partial: policyNote) { call in
      let least = try SchedulingCalls.targets(call).map(\.nice).min()
      guard let least else { throw Errno.ESRCH }
      return Int64(20 - least)
    },
    SyscallRow("setpriority", partial: policyNote) { call in
      let targets = try SchedulingCalls.targets(call)
      guard !targets.isEmpty else { throw Errno.ESRCH }
      for task in targets { task.nice = max(-20, min(19, call.int(2))) }
      return 0
    },
    SyscallRow("ioprio_get") { _ in 4 },
    SyscallRow("ioprio_set", partial: "kept by nobody") { _ in 0 },
    SyscallRow("getcpu") { call in
      if call[0] != 0 { try call.store(call[0], UInt32(0)) }
      if call[1] != 0 { try call.store(call[1], UInt32(0)) }
      return 0
    },
  ]
}

/// Handlers of scheduling calls.
enum SchedulingCalls {
  static func task(_ call: SyscallCall) throws -> Task {
    let pid = call.int(0)
    guard pid >= 0 else { throw Errno.EINVAL }
    if pid == 0 { return call.task }
    guard let task = call.kernel.tasks[pid] ?? call.kernel.processes[pid]?.leader else {
      throw Errno.ESRCH
    }
    return task
  }

  static func range(_ policy: Int32) throws -> (lower: Int64, upper: Int64) {
    switch policy {
    case 1, 2: (1, 99)
    case 0, 3, 5, 6: (0, 0)
    default: throw Errno.EINVAL
    }
  }

  static func set(_ call: SyscallCall, _ policy: Int32, _ priority: Int32) throws -> Int64 {
    let task = try task(call)
    let range = try range(policy)
    guard Int64(priority) >= range.lower, Int64(priority) <= range.upper else {
      throw Errno.EINVAL
    }
    task.policy = (policy, priority)
    return 0
  }

  static func targets(_ call: SyscallCall) throws -> [Task] {
    let who = call.int(1)
    let processes: [Process]
    switch call.int(0) {
    case 0:
      return who == 0 ? [call.task] : call.kernel.tasks[who].map { [$0] } ?? []
    case 1:
      let pgid = who == 0 ? call.process.pgid : who
      processes = call.kernel.liveProcesses.filter { $0.pgid == pgid }
    case 2:
      let uid = who == 0 ? call.process.credentials.ruid : UInt32(bitPattern: who)
      processes = call.kernel.liveProcesses.filter { $0.credentials.ruid == uid }
    default: throw Errno.EINVAL
    }
    return processes.flatMap(\.threads)
  }
}
