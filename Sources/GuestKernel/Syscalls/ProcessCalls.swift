import Engine

extension SyscallTable {
  /// Creating, replacing, ending and waiting for processes.
  static let processRows: [SyscallRow] = [
    SyscallRow("clone", partial: "no namespaces, no pidfd", ProcessCalls.clone),
    SyscallRow("clone3", partial: "no namespaces, no pidfd", ProcessCalls.clone3),
    SyscallRow("fork", ProcessCalls.fork),
    SyscallRow("vfork", ProcessCalls.vfork),
    SyscallRow("execve") { try ProcessCalls.execve($0) },
    SyscallRow("execveat") { try ProcessCalls.execveat($0) },
    // The guest's do_exit makes the EXIT_TASK call that ends the task.
    SyscallRow("exit") { _ in 0 },
    SyscallRow("exit_group") {
      $0.kernel.beginGroupExit($0.process, status: ($0.int(0) & 0xff) << 8)
      return 0
    },
    SyscallRow("wait4", ProcessCalls.wait4),
    SyscallRow("waitid", partial: "no P_PIDFD", ProcessCalls.waitid),
    SyscallRow("set_tid_address") {
      $0.task.clearChildTID = $0[0]
      return Int64($0.task.tid)
    },
  ]
}

/// Handlers of calls about processes.
enum ProcessCalls {
  @Sendable static func clone(_ call: SyscallCall) throws -> Int64 {
    // clone(flags, stack, parent_tid, tls, child_tid): CONFIG_CLONE_BACKWARDS.
    var request = CloneRequest()
    request.flags = UInt64(call.uint(0)) & ~CloneFlags.CSIGNAL
    request.exitSignal = Int32(call[0] & CloneFlags.CSIGNAL)
    request.stack = call[1]
    request.parentTID = call[2]
    request.tls = call[3]
    request.childTID = call[4]
    return try start(call, request)
  }

  @Sendable static func clone3(_ call: SyscallCall) throws -> Int64 {
    let size = call[1]
    guard size <= 4096 else { throw Errno.E2BIG }
    guard size >= 64 else { throw Errno.EINVAL }
    let bytes = try call.read(call[0], Int(size))
    if bytes.dropFirst(88).contains(where: { $0 != 0 }) { throw Errno.E2BIG }
    func field(_ index: Int) -> UInt64 { bytes.get(index * 8, UInt64.self) }
    var request = CloneRequest()
    request.flags = field(0)
    request.childTID = field(2)
    request.parentTID = field(3)
    guard field(4) <= 64 else { throw Errno.EINVAL }
    request.exitSignal = Int32(field(4))
    let known = CloneFlags.INTO_CGROUP << 1 &- 1
    guard request.flags & ~known == 0, request.flags & (CloneFlags.DETACHED | 0x7f) == 0 else {
      throw Errno.EINVAL
    }
    if request.flags & (CloneFlags.THREAD | CloneFlags.PARENT) != 0, request.exitSignal != 0 {
      throw Errno.EINVAL
    }
    let stack = field(5)
    let stackSize = field(6)
    guard (stack == 0) == (stackSize == 0) else { throw Errno.EINVAL }
    if stack != 0 {
      try call.checkUser(stack, stackSize)
      request.stack = stack &+ stackSize
    }
    request.tls = field(7)
    if field(9) != 0 { throw Errno.EINVAL }
    return try start(call, request)
  }

  @Sendable static func fork(_ call: SyscallCall) throws -> Int64 {
    try start(call, CloneRequest(exitSignal: Signal.SIGCHLD))
  }

  @Sendable static func vfork(_ call: SyscallCall) throws -> Int64 {
    try start(
      call,
      CloneRequest(flags: CloneFlags.VFORK | CloneFlags.VM, exitSignal: Signal.SIGCHLD))
  }

  /// Creates the task at the first try; a `vfork` then waits until the child has its own memory.
  private static func start(_ call: SyscallCall, _ request: CloneRequest) throws -> Int64 {
    let task = call.task
    let child: Task
    if let waitedFor = call.progress.object as? Task {
      child = waitedFor
    } else {
      child = try call.kernel.clone(task, request, regs: call.regs)
      guard request.flags & CloneFlags.VFORK != 0 else { return Int64(child.tid) }
      task.progress = Progress(stage: Int(child.tid), object: child)
    }
    if child.vforkParent === task, child.state != .dead, !task.hasFatalSignal {
      task.sleep(on: [], until: nil, state: .killable)
      throw Blocked()
    }
    return Int64(call.progress.stage)
  }

  @Sendable static func wait4(_ call: SyscallCall) throws -> Int64 {
    let pid = call.int(0)
    let options = call.int(2)
    let known =
      WaitRequest.WNOHANG | WaitRequest.WUNTRACED | WaitRequest.WCONTINUED
      | WaitRequest.NOTHREAD | WaitRequest.WALL | WaitRequest.WCLONE
    guard options & ~known == 0 else { throw Errno.EINVAL }
    guard pid != .min else { throw Errno.ESRCH }
    let which: WaitRequest.Which
    switch pid {
    case -1: which = .any
    case 0: which = .group(call.process.pgid)
    case ..<0: which = .group(-pid)
    default: which = .process(pid)
    }
    let request = WaitRequest(which: which, options: options | WaitRequest.WEXITED)
    guard let result = try call.kernel.wait(call, request) else { return 0 }
    if call[1] != 0 { try call.store(call[1], result.status) }
    if call[3] != 0 {
      try call.write(
        call[3], ABI.rusage(runtime: result.runtime, usage: result.usage, maxResidentKB: 0))
    }
    return Int64(result.pid)
  }

  @Sendable static func waitid(_ call: SyscallCall) throws -> Int64 {
    let options = call.int(3)
    let events = WaitRequest.WEXITED | WaitRequest.WSTOPPED | WaitRequest.WCONTINUED
    let known =
      events | WaitRequest.WNOHANG | WaitRequest.WNOWAIT | WaitRequest.NOTHREAD
      | WaitRequest.WALL | WaitRequest.WCLONE
    guard options & ~known == 0, options & events != 0 else { throw Errno.EINVAL }
    let which: WaitRequest.Which
    switch call.int(0) {
    case 0: which = .any
    case 1:
      guard call.int(1) > 0 else { throw Errno.EINVAL }
      which = .process(call.int(1))
    case 2:
      guard call.int(1) >= 0 else { throw Errno.EINVAL }
      which = .group(call.int(1) == 0 ? call.process.pgid : call.int(1))
    default: throw Errno.EINVAL
    }
    let request = WaitRequest(which: which, options: options)
    let result = try call.kernel.wait(call, request)
    if call[2] != 0 {
      var bytes = [UInt8](repeating: 0, count: 48)
      if let result {
        bytes = Array(
          SignalInfo(
            Signal.SIGCHLD, code: result.code,
            .child(
              pid: result.pid, uid: result.uid, status: result.codeStatus, utime: 0, stime: 0)
          ).bytes.prefix(48))
      }
      try call.write(call[2], Array(bytes.prefix(12)))
      try call.write(call[2] &+ 16, Array(bytes[16..<28]))
    }
    if call[4] != 0, let result {
      try call.write(
        call[4], ABI.rusage(runtime: result.runtime, usage: result.usage, maxResidentKB: 0))
    }
    return 0
  }
}
