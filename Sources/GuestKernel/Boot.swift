import Engine

/// What the first program is and how it begins.
public struct BootRequest {
  /// Its path in the guest.
  public var path: [UInt8]
  /// Its arguments, the name included.
  public var arguments: [[UInt8]]
  /// Its environment, `NAME=value`.
  public var environment: [[UInt8]]
  /// Its working directory.
  public var directory: [UInt8]

  /// A program at `path`.
  public init(
    path: [UInt8], arguments: [[UInt8]], environment: [[UInt8]] = [], directory: [UInt8] = [0x2f]
  ) {
    self.path = path
    self.arguments = arguments
    self.environment = environment
    self.directory = directory
  }
}

extension Kernel {
  /// Builds the kernel's page tables and the first task.
  ///
  /// The image must be in RAM already.
  ///
  /// Afterwards the machine puts ``bootRoot`` into the page-table register and enters the image.
  ///
  /// - Throws: ``ExecError`` where the program can't be started; `Errno` otherwise.
  public func boot(_ request: BootRequest) throws {
    try prepareMemory()
    let process = Process(
      pid: allocatePID(), parent: nil, pgid: 1, sid: 1, exitSignal: Signal.SIGCHLD, started: now)
    process.pgid = process.pid
    process.sid = process.pid
    let block = try makeBlock(tid: process.pid, start: "ret_from_fork")
    let files = try makeStandardStreams()
    let fs = try makeContext(request.directory)
    let task = Task(
      tid: process.pid, process: process, kernel: self, block: block, space: nil, files: files,
      fs: fs, handlers: SignalHandlers(), comm: "init")
    let result: ExecResult
    do {
      let file = try openExecutable(task, request.path, directory: nil)
      result = try load(
        file, request.path, request.arguments, request.environment, process, task: task)
    } catch let errno as Errno {
      throw ExecError(
        errno, "\(String(decoding: request.path, as: UTF8.self)): \(errno)")
    }
    retain(files)
    process.threads = [task]
    processes[process.pid] = process
    tasks[task.tid] = task
    firstProcess = process
    terminalSession = process.sid
    foregroundGroup = process.pgid
    vfs.proc = proc
    statistics.tasksCreated &+= 1
    exec(
      task,
      PreparedProgram(
        result: result, path: pathText(result.exe), argv: request.arguments,
        envp: request.environment), regs: block.regsVA)
    task.replyActions = []
    process.didExec = false
    applyLimits(process)
    enqueue(task)
  }

  /// What the page-table register holds when the image is entered.
  public var bootRoot: UInt64 { isa.rootValue(kernelRoot, asid: 0) }

  /// The kernel's page tables, the signal page, the idle task.
  func prepareMemory() throws(Errno) {
    if let image {
      kernelRoot = try KernelAddressSpace.build(image: image, frames: frames, isa: isa).root
    } else {
      kernelRoot = try frames.allocate()
    }
    if !isa.signalPage.isEmpty {
      signalPages = try SpecialPages(isa.signalPage, frames: frames)
    }
    if let va = symbol("init_task"), let pa = kernelAddress(va, TaskBlock.size) {
      idleBlock = TaskBlock(pa: pa, va: va, layout: taskLayout, ram: ram)
    } else {
      idleBlock = try makeBlock(tid: 0, start: "do_idle")
    }
    idleBlock?.root = bootRoot
  }
}
