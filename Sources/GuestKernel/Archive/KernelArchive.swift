import Engine

// The kernel model as bytes and back.
//
// A restored state is a new graph of objects: those of the present one are given up, without the
// effects that giving them up has while they are in use (a closed pipe, freed frames). The kernel
// itself stays, with what the machine has set.

extension Archive {
  /// Whose state is archived.
  var kernel: Kernel {
    guard let kernel = context as? Kernel else {
      preconditionFailure("a kernel's objects are archived with their kernel")
    }
    return kernel
  }

  /// A kernel stack that is none.
  var noBlock: TaskBlock {
    let kernel = kernel
    return TaskBlock(pa: 0, va: 0, layout: kernel.taskLayout, ram: kernel.ram)
  }

  /// Frames that an object holds must be handed out.
  func checkFrames(
    _ frames: some Sequence<UInt64>, _ allocator: @autoclosure @escaping () -> PageAllocator
  ) {
    guard isReading else { return }
    let all = Array(frames)
    afterwards { [self] in
      let allocator = allocator()
      if !all.allSatisfy({ $0 & 4095 == 0 && allocator.owns($0) }) {
        fail("a frame that nobody handed out")
      }
    }
  }
}

extension Kernel {
  /// The classes of the model, in an order that is part of the format.
  package static var archivedTypes: [any Archivable.Type] {
    [
      Task.self, Process.self, Timer.self, PosixTimer.self, FutexWait.self, WaitQueue.self,
      PageAllocator.self, SignalHandlers.self, PreparedProgram.self, AddressSpace.self,
      SharedMemory.self, SpecialPages.self, FileSystem.self, FileSystemContext.self, FileTable.self,
      FileLocks.self, OpenFile.self, Dentry.self, Inode.self, CachedFile.self, TmpfsFile.self,
      HostFile.self, TmpfsDirectory.self, Symlink.self, HostDirectory.self, HostTree.self,
      DeviceNode.self, Console.self, Pipe.self, Pipe.Opening.self, SocketEnd.self,
      EventCounter.self, EpollInode.self, TimerInode.self, ProcNode.self, ProcText.self,
      ProcText.Copy.self, ProcMemory.self, ProcLink.self, ProcDirectory.self, VFS.self,
    ]
  }

  /// Saves, or fills in, what the kernel has besides its objects.
  ///
  /// RAM and hart are not part of it.
  package func archive(_ a: Archive) {
    a.ref("frames", &frames)
    a.ref("vfs", &vfs)
    a("instructionFlushNeeded", &instructionFlushNeeded)
    a("kernelRoot", &kernelRoot)
    a.ref("current", &current)
    a("isIdle", &isIdle)
    a.ref("firstProcess", &firstProcess)
    a.refs("tasks", &tasks)
    a.refs("processes", &processes)
    a("exitStatus", &exitStatus)
    a("fatalSignal", &fatalSignal)
    a("statistics", &statistics)
    a("hostname", &hostname)
    a("domainname", &domainname)
    a("timers", &timers)
    archiveRunQueue(a)
    a("quantumEnd", &quantumEnd)
    a("runStart", &runStart)
    a("idleBlock", &idleBlock)
    a.ref("signalPages", &signalPages)
    a("deadBlocks", &deadBlocks)
    a.refs("dyingSpaces", &dyingSpaces)
    a.refs("deadSpaces", &deadSpaces)
    a("nextPID", &nextPID)
    a("nextASID", &nextASID)
    a("asidsWrapped", &asidsWrapped)
    a("futexes", &futexes)
    a.ref("console", &console)
    a("terminalSession", &terminalSession)
    a("foregroundGroup", &foregroundGroup)
    a("realtimeOffset", &realtimeOffset)
    a.numbers("syscallCounts", &syscallCounts)
    if syscallCounts.count != SyscallTable.rows.count {
      a.fail("counts of \(syscallCounts.count) system calls")
      syscallCounts = Array(repeating: 0, count: SyscallTable.rows.count)
    }
    a("unknownCounts", &unknownCounts)
    a.transient([
      "isa", "ram", "host", "hart", "image", "syscalls", "clock", "classifyTrap", "trapHooks",
      "observers", "interruptHart", "isServing", "log", "frameSize", "framePC", "frameSP",
      "linearMapBase", "taskLayout", "signalActionHasRestorer", "encodeStat", "cpuinfo", "proc",
    ])
    guard a.isReading else { return }
    isServing = false
    a.afterwards { [self] in checkBlocks(a) }
  }

  private func archiveRunQueue(_ a: Archive) {
    var waiting = Array(runQueue[min(runQueueHead, runQueue.count)...])
    a.refs("runQueue", &waiting)
    a.transient(["runQueueHead"])
    if a.isReading { (runQueue, runQueueHead) = (waiting, 0) }
  }

  /// Kernel stacks are read and written without asking.
  private func checkBlocks(_ a: Archive) {
    let blocks = tasks.values.map(\.block) + deadBlocks
    if !blocks.allSatisfy({ frames.owns($0.pa) && ram.contains($0.pa, TaskBlock.size) }) {
      a.fail("a kernel stack outside RAM")
    }
  }

  /// Gives the present state up: what is left of it does nothing any more.
  package func retire() {
    frames.retire()
    for task in tasks.values { task.retire() }
    takeApart()
  }

  /// Gives up what could be made of a state that is no good.
  package static func discard(_ objects: [any Archivable]) {
    for object in objects {
      switch object {
      case let task as Task: task.retire()
      case let frames as PageAllocator: frames.retire()
      case let process as Process:
        process.threads = []
        process.children = []
      default: break
      }
    }
  }
}

extension TaskBlock: Archived {
  package static func placeholder(_ a: Archive) -> TaskBlock { a.noBlock }
  package mutating func archive(_ a: Archive) {
    var (pa, va) = (self.pa, self.va)
    a("pa", &pa)
    a("va", &va)
    a.transient(["regsVA", "layout", "ram"])
    if a.isReading { self = TaskBlock(pa: pa, va: va, layout: layout, ram: ram) }
  }
}
