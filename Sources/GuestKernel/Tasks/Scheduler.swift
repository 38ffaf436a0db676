import Engine

extension Kernel {
  /// How long a task runs while others wait for their turn, in nanoseconds of guest time.
  public static let quantum: UInt64 = 4_000_000

  // MARK: Timers

  /// Arranges for a timer to happen to `target` at a moment of guest time.
  func at(_ deadline: UInt64, _ target: any TimerTarget) -> Timer {
    timers.add(deadline, target)
  }

  /// Lets every timer happen whose time has come.
  func runTimers() {
    guard timers.next != nil else { return }
    let now = self.now
    while let timer = timers.expired(now) { timer.fire(self) }
  }

  // MARK: The run queue

  /// Puts a task that became runnable at the end of the queue.
  func enqueue(_ task: Task) {
    guard task !== current || isIdle, !task.queued else { return }
    task.queued = true
    runQueue.append(task)
    if runQueue.count - runQueueHead == 1, quantumEnd <= now {
      // The running task had no competitor until now.
      quantumEnd = now &+ host.timeSlice(Self.quantum)
    }
  }

  var hasRunnable: Bool { runQueueHead < runQueue.count }

  private func dequeue() -> Task? {
    while runQueueHead < runQueue.count {
      let task = runQueue[runQueueHead]
      runQueueHead += 1
      if runQueueHead > 256, runQueueHead * 2 > runQueue.count {
        runQueue.removeFirst(runQueueHead)
        runQueueHead = 0
      }
      task.queued = false
      if task.state == .runnable { return task }
    }
    runQueue.removeAll(keepingCapacity: true)
    runQueueHead = 0
    return nil
  }

  /// Chooses the next task, round robin, and makes it the current one.
  ///
  /// - SeeAlso: Linux, `kernel/sched/core.c`, `__schedule`
  /// - Returns: the address of its `struct task`.
  func schedule() -> UInt64 {
    let previous = isIdle ? nil : current
    deadSpaces.append(contentsOf: dyingSpaces)
    dyingSpaces.removeAll(keepingCapacity: true)
    if let previous {
      account(previous)
      if previous.state == .dead {
        deadBlocks.append(previous.block)
        current = nil
      } else {
        previous.block.flags.remove(.needResched)
        if previous.state == .runnable {
          if hasRunnable { previous.usage.involuntarySwitches &+= 1 }
          previous.queued = true
          runQueue.append(previous)
        } else {
          previous.usage.voluntarySwitches &+= 1
        }
      }
    }
    runStart = now
    guard let next = dequeue() else {
      isIdle = true
      current = nil
      return idleBlock?.va ?? 0
    }
    isIdle = false
    if next !== previous { statistics.contextSwitches &+= 1 }
    current = next
    quantumEnd = now &+ host.timeSlice(Self.quantum)
    return next.block.va
  }

  /// Adds the time since the last look to a task.
  func account(_ task: Task) {
    let now = self.now
    let ran = now &- runStart
    task.runtime &+= ran
    runStart = now
    chargeCPUTimers(task, ran)
  }

  /// The timer interrupt: what is due happens, and a task whose turn is over gives way.
  func tick() {
    statistics.ticks &+= 1
    runTimers()
    if let current, !isIdle {
      account(current)
      if now >= quantumEnd {
        if hasRunnable { current.block.flags.insert(.needResched) }
        quantumEnd = now &+ host.timeSlice(Self.quantum)
      }
    } else if hasRunnable {
      idleBlock?.flags.insert(.needResched)
    }
  }

  /// Frees the kernel stacks and address spaces that the hart has left for good.
  func freeDead() {
    if !deadBlocks.isEmpty {
      for block in deadBlocks {
        observer?.freed(stack: block.va)
        freeBlock(block)
      }
      deadBlocks.removeAll(keepingCapacity: true)
    }
    if !deadSpaces.isEmpty {
      for space in deadSpaces { space.releaseAll() }
      deadSpaces.removeAll(keepingCapacity: true)
    }
  }
}
