/// What a wait looks for.
struct WaitRequest {
  /// Which children.
  enum Which {
    case any
    case process(Int32)
    case group(Int32)
  }
  var which: Which
  var options: Int32

  static let WNOHANG: Int32 = 1
  static let WUNTRACED: Int32 = 2
  static let WSTOPPED: Int32 = 2
  static let WEXITED: Int32 = 4
  static let WCONTINUED: Int32 = 8
  static let WNOWAIT: Int32 = 0x0100_0000
  static let NOTHREAD: Int32 = 0x2000_0000
  static let WALL: Int32 = 0x4000_0000
  static let WCLONE = Int32(bitPattern: 0x8000_0000)
}

/// What a wait found.
struct WaitResult {
  var pid: Int32
  var uid: UInt32
  /// As `wait4` reports it.
  var status: Int32
  /// As `waitid` reports it.
  var code: Int32
  var codeStatus: Int32
  var runtime: UInt64
  var usage: TaskUsage
}

extension Kernel {
  /// Waits for a child to change state.
  ///
  /// - SeeAlso: Linux, `kernel/exit.c`, `do_wait`, `wait_consider_task`
  /// - Returns: `nil` with `WNOHANG` where nothing has happened.
  func wait(_ call: SyscallCall, _ request: WaitRequest) throws -> WaitResult? {
    let process = call.task.process
    var found = false
    for child in process.children where isEligible(child, request) {
      found = true
      if let result = collect(child, process, request.options) { return result }
    }
    guard found else { throw Errno.ECHILD }
    if request.options & WaitRequest.WNOHANG != 0 { return nil }
    try call.wait(on: [process.childQueue], until: nil)
  }

  private func isEligible(_ child: Process, _ request: WaitRequest) -> Bool {
    switch request.which {
    case .any: break
    case .process(let pid): if child.pid != pid { return false }
    case .group(let pgid): if child.pgid != pgid { return false }
    }
    if request.options & WaitRequest.WALL != 0 { return true }
    let isClone = child.exitSignal != Signal.SIGCHLD
    return isClone == (request.options & WaitRequest.WCLONE != 0)
  }

  private func collect(_ child: Process, _ parent: Process, _ options: Int32) -> WaitResult? {
    let keep = options & WaitRequest.WNOWAIT != 0
    var result = WaitResult(
      pid: child.pid, uid: child.credentials.ruid, status: 0, code: 0, codeStatus: 0,
      runtime: child.runtime &+ child.childrenRuntime, usage: child.usage)
    if child.isZombie {
      guard options & WaitRequest.WEXITED != 0 else { return nil }
      result.status = child.exitStatus
      result.code = Self.childCode(child.exitStatus)
      result.codeStatus = Self.childStatus(child.exitStatus)
      result.usage += child.childrenUsage
      if !keep {
        parent.childrenRuntime &+= result.runtime
        parent.childrenUsage += result.usage
        forget(child)
      }
      return result
    }
    if options & WaitRequest.WUNTRACED != 0, let signal = child.stopToReport {
      if !keep { child.stopToReport = nil }
      result.status = signal << 8 | 0x7f
      result.code = SignalInfo.CLD_STOPPED
      result.codeStatus = signal
      return result
    }
    if options & WaitRequest.WCONTINUED != 0, child.continueToReport {
      if !keep { child.continueToReport = false }
      result.status = 0xffff
      result.code = SignalInfo.CLD_CONTINUED
      result.codeStatus = Signal.SIGCONT
      return result
    }
    return nil
  }
}
