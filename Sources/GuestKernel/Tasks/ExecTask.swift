import Engine

/// A program that `execve` has prepared, while the other threads of the process end.
final class PreparedProgram: Archivable {
  private(set) var result: ExecResult
  private(set) var path: String
  private(set) var argv: [[UInt8]]
  private(set) var envp: [[UInt8]]

  init(result: ExecResult, path: String, argv: [[UInt8]], envp: [[UInt8]]) {
    self.result = result
    self.path = path
    self.argv = argv
    self.envp = envp
  }

  package init(placeholderFor a: Archive) {
    result = ExecResult.placeholder(a)
    (path, argv, envp) = ("", [], [])
  }

  package func archive(_ a: Archive) {
    a("result", &result)
    a("path", &path)
    a("argv", &argv)
    a("envp", &envp)
  }
}

extension ProcessCalls {
  /// The most bytes of arguments and environment, and the most strings.
  static let argumentLimit = 6 << 20, argumentCount = 1 << 20
  /// The longest single string (`MAX_ARG_STRLEN`).
  static let argumentLength = 131_072

  static func execve(_ call: SyscallCall) throws -> Int64 {
    if let prepared = call.progress.object as? PreparedProgram {
      return try replace(call, prepared)
    }
    let path = try call.path(0)
    let file = try call.kernel.openExecutable(call.task, path, directory: nil)
    return try prepare(call, file, path, argv: call[1], envp: call[2])
  }

  static func execveat(_ call: SyscallCall) throws -> Int64 {
    if let prepared = call.progress.object as? PreparedProgram {
      return try replace(call, prepared)
    }
    let flags = call.int(4)
    guard flags & ~0x1100 == 0 else { throw Errno.EINVAL }
    let isEmptyAllowed = flags & 0x1000 != 0
    let path = try call.path(1, mayBeEmpty: isEmptyAllowed)
    let fd = call.int(0)
    var shown = path
    let file: OpenFile
    if path.isEmpty {
      file = try call.kernel.reopenExecutable(try call.file(0))
      shown = Array("/dev/fd/\(fd)".utf8)
    } else {
      file = try call.kernel.openExecutable(
        call.task, path, directory: fd, noFollow: flags & 0x100 != 0)
      if fd != -100, path.first != UInt8(ascii: "/") {
        shown = Array("/dev/fd/\(fd)/".utf8) + path
      }
    }
    return try prepare(call, file, shown, argv: call[2], envp: call[3])
  }

  /// The strings of a null-terminated array of pointers.
  private static func strings(
    _ call: SyscallCall, _ va: UInt64, _ total: inout Int
  ) throws
    -> [[UInt8]]
  {
    guard va != 0 else { return [] }
    var result: [[UInt8]] = []
    var at = va
    while true {
      let pointer = try call.load(at, as: UInt64.self)
      if pointer == 0 { return result }
      let text: [UInt8]
      do {
        text = try call.string(pointer, max: argumentLength)
      } catch Errno.ENAMETOOLONG {
        throw Errno.E2BIG
      }
      total += text.count + 9
      guard total <= argumentLimit, result.count < argumentCount else { throw Errno.E2BIG }
      result.append(text)
      at &+= 8
    }
  }

  private static func prepare(
    _ call: SyscallCall, _ file: OpenFile, _ path: [UInt8], argv: UInt64, envp: UInt64
  ) throws -> Int64 {
    var total = 0
    let arguments = try strings(call, argv, &total)
    let environment = try strings(call, envp, &total)
    let kernel = call.kernel
    let task = call.task
    if task.mustEnd { throw Errno.ERESTARTSYS }
    let result: ExecResult
    do {
      result = try kernel.load(
        file, path, arguments, environment, task.process, task: task)
    } catch let error as ExecError {
      throw error.errno
    }
    let prepared = PreparedProgram(
      result: result, path: kernel.pathText(result.exe), argv: arguments, envp: environment)
    if task.process.threads.count > 1 {
      task.progress = Progress(object: prepared)
      task.process.execTask = task
      for thread in task.process.threads where thread !== task {
        kernel.wakeForSignal(thread, fatal: true)
      }
    }
    return try replace(call, prepared)
  }

  /// Waits until the task is alone, then takes on the new program.
  ///
  /// - SeeAlso: Linux, `fs/exec.c`, `de_thread`, `begin_new_exec`
  private static func replace(_ call: SyscallCall, _ prepared: PreparedProgram) throws -> Int64 {
    let task = call.task
    let process = task.process
    if process.groupExit != nil {
      prepared.result.space.releaseAll()
      throw Errno.ERESTARTSYS
    }
    if process.threads.count > 1 {
      task.sleep(on: [process.threadQueue], until: nil, state: .killable)
      throw Blocked()
    }
    process.execTask = nil
    call.kernel.exec(task, prepared, regs: call.regs)
    return 0
  }
}

extension Kernel {
  /// Makes a program ready to run for a process.
  func load(
    _ file: OpenFile, _ path: [UInt8], _ argv: [[UInt8]], _ envp: [[UInt8]],
    _ process: Process, task: Task?
  ) throws -> ExecResult {
    var request = ExecRequest(file: file, path: path, argv: argv, envp: envp)
    request.uid = process.credentials.ruid
    request.euid = process.credentials.euid
    request.gid = process.credentials.rgid
    request.egid = process.credentials.egid
    request.limits = memoryLimits(process)
    return try Exec.load(
      request, frames: frames, isa: isa, kernelRoot: kernelRoot, asid: allocateASID(),
      host: host, signalPages: signalPages
    ) {
      (path) throws(Errno) in try openExecutable(task, path, directory: nil)
    }
  }

  /// A task takes on a program: from here on nothing fails.
  ///
  /// - SeeAlso: Linux, `fs/exec.c`, `begin_new_exec`; `arch/riscv/kernel/process.c`, `start_thread`
  func exec(_ task: Task, _ prepared: PreparedProgram, regs regsVA: UInt64) {
    let process = task.process
    let result = prepared.result
    if !task.isLeader {
      // It becomes the thread whose number is the process's.
      tasks[task.tid] = nil
      task.tid = process.pid
      tasks[task.tid] = task
      task.block.store(taskLayout.pid, UInt64(bitPattern: Int64(task.tid)))
    }
    exitRobustList(task)
    releaseMemory(task, reloading: true)
    task.space = result.space
    retain(result.space)
    task.block.root = result.space.rootValue
    let name = result.name.prefix(15)
    task.comm = String(decoding: name, as: UTF8.self)
    process.executable = prepared.path
    process.executableFile = result.exe
    process.arguments = prepared.argv
    process.environment = prepared.envp
    process.didExec = true
    process.isDumpable = true
    process.membarrier = 0
    unshareFiles(task)
    task.files.closeForExec()
    task.handlers = task.handlers.copy()
    task.handlers.reset()
    task.signalStack = SignalStack()
    task.restartBlock = nil
    task.clearChildTID = 0
    task.parentDeathSignal = 0
    if task.isLeader, process.exitSignal != Signal.SIGCHLD { process.exitSignal = Signal.SIGCHLD }
    deletePosixTimers(process)
    writeKernel(regsVA, isa.initialRegs(pc: result.pc, sp: result.sp))
    let bases = isa.userBases(hart).map { _ in UInt64(0) }
    isa.setUserBases(bases, hart)
    task.block.setBases(bases)
    isa.restoreFP([], hart)
    task.block.setFP(isa.saveFP(hart))
    task.replyActions.formUnion([.reloadRoot, .fenceInstructions])
    result.space.observers = observers
    observer?.executed(task)
  }
}
