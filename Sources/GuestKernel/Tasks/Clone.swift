import Engine

/// `CLONE_*` flags.
///
/// - SeeAlso: Linux, `include/uapi/linux/sched.h`
enum CloneFlags {
  static let VM: UInt64 = 0x100
  static let FS: UInt64 = 0x200
  static let FILES: UInt64 = 0x400
  static let SIGHAND: UInt64 = 0x800
  static let PIDFD: UInt64 = 0x1000
  static let PTRACE: UInt64 = 0x2000
  static let VFORK: UInt64 = 0x4000
  static let PARENT: UInt64 = 0x8000
  static let THREAD: UInt64 = 0x10000
  static let NEWNS: UInt64 = 0x20000
  static let SYSVSEM: UInt64 = 0x40000
  static let SETTLS: UInt64 = 0x80000
  static let PARENT_SETTID: UInt64 = 0x100000
  static let CHILD_CLEARTID: UInt64 = 0x200000
  static let DETACHED: UInt64 = 0x400000
  static let UNTRACED: UInt64 = 0x800000
  static let CHILD_SETTID: UInt64 = 0x1000000
  static let NEWCGROUP: UInt64 = 0x2000000
  static let NEWUTS: UInt64 = 0x4000000
  static let NEWIPC: UInt64 = 0x8000000
  static let NEWUSER: UInt64 = 0x1000_0000
  static let NEWPID: UInt64 = 0x2000_0000
  static let NEWNET: UInt64 = 0x4000_0000
  static let IO: UInt64 = 0x8000_0000
  static let CLEAR_SIGHAND: UInt64 = 0x1_0000_0000
  static let INTO_CGROUP: UInt64 = 0x2_0000_0000
  static let NEWTIME: UInt64 = 0x80
  static let CSIGNAL: UInt64 = 0xff

  static let namespaces =
    NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
}

/// What `clone` and its relatives are asked for.
struct CloneRequest {
  var flags: UInt64 = 0
  var exitSignal: Int32 = 0
  var stack: UInt64 = 0
  var tls: UInt64 = 0
  var parentTID: UInt64 = 0
  var childTID: UInt64 = 0
}

extension Kernel {
  /// Makes a task like the present one.
  ///
  /// - SeeAlso: Linux, `kernel/fork.c`, `kernel_clone`, `copy_process`
  func clone(_ parent: Task, _ request: CloneRequest, regs regsVA: UInt64) throws -> Task {
    let flags = request.flags
    func has(_ flag: UInt64) -> Bool { flags & flag != 0 }
    if has(CloneFlags.NEWNS), has(CloneFlags.FS) { throw Errno.EINVAL }
    if has(CloneFlags.THREAD), !has(CloneFlags.SIGHAND) { throw Errno.EINVAL }
    if has(CloneFlags.SIGHAND), !has(CloneFlags.VM) { throw Errno.EINVAL }
    if has(CloneFlags.SIGHAND), has(CloneFlags.CLEAR_SIGHAND) { throw Errno.EINVAL }
    // Namespaces: as a kernel that was built without them.
    if flags & (CloneFlags.namespaces | CloneFlags.INTO_CGROUP | CloneFlags.PIDFD) != 0 {
      throw Errno.EINVAL
    }
    if request.exitSignal < 0 || request.exitSignal > Signal.last { throw Errno.EINVAL }
    guard let parentSpace = parent.space, var regs = readKernel(regsVA, isa.ptRegs.size) else {
      throw Errno.EFAULT
    }
    let process = parent.process
    if !has(CloneFlags.THREAD), liveProcesses.count >= 4096 { throw Errno.EAGAIN }
    if parent.mustEnd || parent.hasFatalSignal { throw Errno.ERESTARTSYS }

    let tid = allocatePID()
    let block = try makeBlock(tid: tid, start: "ret_from_fork")
    let space: AddressSpace
    if has(CloneFlags.VM) {
      space = parentSpace
    } else {
      do throws(Errno) {
        space = try parentSpace.fork(asid: allocateASID())
      } catch {
        freeBlock(block)
        throw error
      }
    }
    let group: Process
    if has(CloneFlags.THREAD) {
      group = process
    } else {
      group = childProcess(of: process, pid: tid, request)
    }
    let handlers: SignalHandlers
    if has(CloneFlags.SIGHAND) {
      handlers = parent.handlers
    } else {
      handlers = parent.handlers.copy()
      if has(CloneFlags.CLEAR_SIGHAND) { handlers.reset() }
    }
    let child = Task(
      tid: tid, process: group, kernel: self, block: block, space: space,
      files: has(CloneFlags.FILES) ? parent.files : parent.files.clone(),
      fs: has(CloneFlags.FS) ? parent.fs : parent.fs.clone(), handlers: handlers,
      comm: parent.comm)
    retain(space)
    retain(child.files)
    child.blocked = parent.blocked
    child.nice = parent.nice
    child.policy = parent.policy
    child.affinity = parent.affinity
    child.timerSlack = parent.timerSlack
    child.creator = parent
    if !has(CloneFlags.VM) || has(CloneFlags.VFORK) { child.signalStack = parent.signalStack }
    if has(CloneFlags.CHILD_CLEARTID) { child.clearChildTID = request.childTID }

    let layout = isa.ptRegs
    regs.store64(layout.result, 0)
    if request.stack != 0 { regs.store64(layout.sp, request.stack) }
    var bases = isa.userBases(hart)
    if has(CloneFlags.SETTLS) {
      if let tp = layout.tp {
        regs.store64(tp, request.tls)
      } else if !bases.isEmpty {
        bases[0] = request.tls
      }
    }
    block.regs = regs
    block.setBases(bases)
    block.setFP(isa.saveFP(hart))
    block.root = space.rootValue

    group.threads.append(child)
    if group !== process {
      processes[tid] = group
      group.parent?.children.append(group)
    }
    tasks[tid] = child
    statistics.tasksCreated &+= 1
    if has(CloneFlags.PARENT_SETTID) { try? parentSpace.store(request.parentTID, tid) }
    if has(CloneFlags.CHILD_SETTID) { try? space.store(request.childTID, tid) }
    if has(CloneFlags.VFORK) { child.vforkParent = parent }
    if process.groupStop != nil, group === process { markSignal(child) }
    observer?.cloned(parent, child)
    enqueue(child)
    return child
  }

  private func childProcess(of process: Process, pid: Int32, _ request: CloneRequest) -> Process {
    let sibling = request.flags & CloneFlags.PARENT != 0
    let child = Process(
      pid: pid, parent: sibling ? process.parent ?? process : process, pgid: process.pgid,
      sid: process.sid, exitSignal: sibling ? process.exitSignal : request.exitSignal,
      started: now)
    child.credentials = process.credentials
    child.limits = process.limits
    child.executable = process.executable
    child.executableFile = process.executableFile
    child.arguments = process.arguments
    child.environment = process.environment
    child.isDumpable = process.isDumpable
    child.noNewPrivileges = process.noNewPrivileges
    child.membarrier = request.flags & CloneFlags.VM != 0 ? process.membarrier : 0
    return child
  }

  /// The next free number.
  ///
  /// Numbers are not used again soon.
  func allocatePID() -> Int32 {
    while true {
      let pid = nextPID
      nextPID = pid >= 32_767 ? 300 : pid + 1
      if tasks[pid] == nil, processes[pid] == nil,
        !processes.values.contains(where: { $0.pgid == pid || $0.sid == pid })
      {
        return pid
      }
    }
  }

  /// An address-space number.
  ///
  /// When they come round, every translation is flushed.
  func allocateASID() -> UInt16 {
    if nextASID == 0xffff {
      nextASID = 0
      asidsWrapped = true
    }
    nextASID += 1
    return nextASID
  }

  // MARK: Shared parts

  func retain(_ space: AddressSpace) { space.users += 1 }
  func retain(_ files: FileTable) { files.users += 1 }

  func users(_ space: AddressSpace) -> Int { space.users }

  /// Drops a task's use of an address space; the last one frees it at the next gate call after
  /// the hart has left it.
  ///
  /// - Returns: whether nobody uses it any more.
  func drop(_ space: AddressSpace) -> Bool {
    space.users = max(space.users - 1, 0)
    return space.users == 0
  }

  func drop(_ files: FileTable) {
    files.users = max(files.users - 1, 0)
    if files.users == 0 { files.closeAll() }
  }
}
