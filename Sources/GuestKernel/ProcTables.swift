/// What `/proc` shows of tasks.
final class ProcTables: ProcSource {
  private unowned let kernel: Kernel

  init(_ kernel: Kernel) { self.kernel = kernel }

  var currentProcess: Int32 { kernel.current?.process.pid ?? 0 }
  var currentThread: Int32 { kernel.current?.tid ?? 0 }
  var processes: [Int32] { kernel.processes.keys.sorted() }

  func threads(of pid: Int32) -> [Int32] {
    guard let process = kernel.processes[pid] else { return [] }
    return process.threads.isEmpty ? [pid] : process.threads.map(\.tid).sorted()
  }

  private func task(_ tid: Int32) -> Task? {
    kernel.tasks[tid] ?? kernel.processes[tid]?.leader
  }

  private func process(_ tid: Int32) -> Process? {
    kernel.tasks[tid]?.process ?? kernel.processes[tid]
  }

  func status(of tid: Int32) -> ProcStatus? {
    guard let process = process(tid) else { return nil }
    let task = task(tid)
    var status = ProcStatus(
      tid: tid, process: process.pid, parent: process.parent?.pid ?? 0,
      name: task?.comm ?? process.lastName)
    status.group = process.pgid
    status.session = process.sid
    status.state = state(process, task)
    status.userTime = tid == process.pid ? process.runtime : task?.runtime ?? 0
    status.childrenUserTime = process.childrenRuntime
    status.startTime = task?.started ?? process.started
    let usage = process.usage
    status.minorFaults = usage.minorFaults
    status.majorFaults = usage.majorFaults
    status.voluntarySwitches = usage.voluntarySwitches
    status.involuntarySwitches = usage.involuntarySwitches
    let who = process.credentials
    status.credentials = Credentials(uid: who.euid, gid: who.egid, groups: who.groups)
    status.exitCode = process.isZombie ? process.exitStatus : 0
    status.threads = max(1, process.threads.count)
    status.nice = task?.nice ?? 0
    status.sharedPendingSignals = process.pending.set.bits
    if let task {
      status.pendingSignals = task.pending.set.bits
      status.blockedSignals = task.blocked.bits
      for signal in 1...Signal.last {
        switch task.handlers[signal].handler {
        case SignalAction.default: break
        case SignalAction.ignore: status.ignoredSignals |= SignalSet.bit(signal)
        default: status.caughtSignals |= SignalSet.bit(signal)
        }
      }
    }
    if let space = task?.space {
      status.virtualSize = space.mappedBytes
      status.residentPages = UInt64(max(0, space.residentPages))
      status.codeStart = space.layout.startCode
      status.codeEnd = space.layout.endCode
      status.dataStart = space.layout.startData
      status.dataEnd = space.layout.endData
      status.heapStart = space.layout.startBrk
      status.stackStart = space.layout.startStack
    }
    return status
  }

  private func state(_ process: Process, _ task: Task?) -> Character {
    guard let task, !process.isZombie else { return "Z" }
    switch task.state {
    case .runnable: return "R"
    case .interruptible: return "S"
    case .killable: return "D"
    case .stopped: return "T"
    case .dead: return "X"
    }
  }

  func maps(of tid: Int32) -> [UInt8] {
    task(tid)?.space.map { Array($0.mapsText().utf8) } ?? []
  }

  private func memory(of tid: Int32, from start: UInt64?, to end: UInt64?) -> [UInt8] {
    guard let space = task(tid)?.space, let start, let end, end > start else { return [] }
    return space.readPartial(start, Int(min(end - start, 1 << 21)))
  }

  func commandLine(of tid: Int32) -> [UInt8] {
    let layout = task(tid)?.space?.layout
    return memory(of: tid, from: layout?.argStart, to: layout?.argEnd)
  }

  func environment(of tid: Int32) -> [UInt8] {
    let layout = task(tid)?.space?.layout
    return memory(of: tid, from: layout?.envStart, to: layout?.envEnd)
  }

  func auxiliaryVector(of tid: Int32) -> [UInt8] { task(tid)?.space?.auxv ?? [] }
  func executable(of tid: Int32) -> Dentry? { process(tid)?.executableFile?.dentry }
  func files(of tid: Int32) -> FileTable? { task(tid)?.files }
  func context(of tid: Int32) -> FileSystemContext? { task(tid)?.fs }
  func memory(of tid: Int32) -> (any UserMemory)? { task(tid)?.space }

  var system: ProcSystem {
    var system = ProcSystem(
      release: Kernel.release, version: Kernel.version, hostname: kernel.hostname,
      cpuinfo: kernel.cpuinfo)
    system.domainname = kernel.domainname
    system.uptime = kernel.now
    system.userTime = kernel.processes.values.reduce(0) { $0 &+ $1.runtime }
    system.idleTime = kernel.now &- min(kernel.now, system.userTime)
    system.contextSwitches = kernel.statistics.contextSwitches
    system.interrupts = kernel.statistics.ticks
    system.forks = kernel.statistics.tasksCreated
    system.running = kernel.tasks.values.filter { $0.state == .runnable }.count
    return system
  }
}
