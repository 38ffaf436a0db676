import Engine

/// `setitimer`'s and `alarm`'s timers.
struct IntervalTimer {
  /// Nanoseconds between expirations; 0: once.
  var interval: UInt64 = 0
  /// `ITIMER_REAL`: when it expires next.
  ///
  /// The others: CPU time left. 0: not armed.
  var value: UInt64 = 0
  var timer: Timer?
}

/// A timer of `timer_create`.
final class PosixTimer: Archivable {
  private(set) var id: Int32
  private(set) var clock: Int32
  /// `sigev_notify`: 0 signal, 1 none, 4 to a thread.
  private(set) var notify: Int32
  private(set) var signal: Int32
  private(set) var value: UInt64
  weak var thread: Task?
  /// Whose it is, once it was armed.
  weak var process: Process?
  var interval: UInt64 = 0
  /// When it expires next, monotonic; 0: not armed.
  var expires: UInt64 = 0
  var timer: Timer?
  var overrun: Int32 = 0

  init(id: Int32, clock: Int32, notify: Int32, signal: Int32, value: UInt64, thread: Task?) {
    self.id = id
    self.clock = clock
    self.notify = notify
    self.signal = signal
    self.value = value
    self.thread = thread
  }

  package init(placeholderFor a: Archive) {
    (id, clock, notify, signal, value) = (0, 0, 0, 0, 0)
  }

  package func archive(_ a: Archive) {
    a("id", &id)
    a("clock", &clock)
    a("notify", &notify)
    a("signal", &signal)
    a("value", &value)
    a.ref("thread", &thread)
    a.ref("process", &process)
    a("interval", &interval)
    a("expires", &expires)
    a.ref("timer", &timer)
    a("overrun", &overrun)
  }
}

extension Process: TimerTarget {
  func timerFired(_ timer: Timer, _ kernel: Kernel) {
    kernel.realTimerFired(self, timer.deadline)
  }
}

extension PosixTimer: TimerTarget {
  func timerFired(_ timer: Timer, _ kernel: Kernel) {
    kernel.posixTimerFired(self, timer.deadline)
  }
}

extension IntervalTimer: Archived {
  package static func placeholder(_ a: Archive) -> IntervalTimer { IntervalTimer() }
  package mutating func archive(_ a: Archive) {
    a("interval", &interval)
    a("value", &value)
    a.ref("timer", &timer)
  }
}

extension Process {
  /// Whether a timer of CPU time is armed.
  var hasCPUTimer: Bool { intervalTimers[1].value != 0 || intervalTimers[2].value != 0 }

  /// CPU time until the next such timer expires.
  var nextCPUTimer: UInt64? {
    [intervalTimers[1].value, intervalTimers[2].value].filter { $0 != 0 }.min()
  }
}

extension Kernel {
  private static let itimerSignals = [Signal.SIGALRM, Signal.SIGVTALRM, Signal.SIGPROF]

  /// Sets one of a process's interval timers, by nanoseconds from now; 0 disarms it.
  func setIntervalTimer(_ process: Process, _ which: Int, value: UInt64, interval: UInt64) {
    process.intervalTimers[which].timer?.cancel()
    process.intervalTimers[which] = IntervalTimer()
    process.intervalTimers[which].interval = interval
    guard value != 0 else { return }
    if which == 0 {
      let (sum, overflow) = now.addingReportingOverflow(value)
      armRealTimer(process, at: overflow ? .max : sum)
    } else {
      process.intervalTimers[which].value = value
    }
  }

  private func armRealTimer(_ process: Process, at deadline: UInt64) {
    process.intervalTimers[0].value = deadline
    process.intervalTimers[0].timer = at(deadline, process)
  }

  fileprivate func realTimerFired(_ process: Process, _ deadline: UInt64) {
    guard !process.isZombie else { return }
    let interval = process.intervalTimers[0].interval
    process.intervalTimers[0].value = 0
    if let leader = process.leader {
      send(.kernel(Signal.SIGALRM), to: leader, group: true)
    }
    guard interval > 0 else { return }
    let late = now &- min(deadline, now)
    let (next, overflow) = deadline.addingReportingOverflow(interval &* (late / interval &+ 1))
    if !overflow { armRealTimer(process, at: next) }
  }

  /// What `getitimer` reports: nanoseconds left, and the interval.
  func intervalTimer(_ process: Process, _ which: Int) -> (left: UInt64, interval: UInt64) {
    let timer = process.intervalTimers[which]
    guard timer.value != 0 else { return (0, timer.interval) }
    if which != 0 { return (timer.value, timer.interval) }
    return (timer.value > now ? timer.value - now : 1000, timer.interval)
  }

  /// Charges CPU time to a task's process: its virtual timers, its limit.
  func chargeCPUTimers(_ task: Task, _ ran: UInt64) {
    let process = task.process
    for which in 1...2 where process.intervalTimers[which].value != 0 {
      let timer = process.intervalTimers[which]
      if timer.value > ran {
        process.intervalTimers[which].value = timer.value - ran
      } else {
        process.intervalTimers[which].value = timer.interval
        send(.kernel(Self.itimerSignals[which]), to: task, group: true)
      }
    }
    let limit = process.limits[ResourceLimits.cpu]
    guard limit.soft != ResourceLimits.infinity, !process.isEnding else { return }
    let seconds = process.runtime / ABI.second
    let before = (process.runtime &- min(ran, process.runtime)) / ABI.second
    guard seconds != before, seconds >= limit.soft else { return }
    let signal = seconds >= limit.hard ? Signal.SIGKILL : Signal.SIGXCPU
    send(.kernel(signal), to: task, group: true)
  }

  /// Arms a POSIX timer for a moment of monotonic time; 0 disarms it.
  func arm(_ timer: PosixTimer, at deadline: UInt64, of process: Process) {
    timer.timer?.cancel()
    timer.timer = nil
    timer.expires = deadline
    guard deadline != 0 else { return }
    timer.process = process
    timer.timer = at(deadline, timer)
  }

  fileprivate func posixTimerFired(_ timer: PosixTimer, _ deadline: UInt64) {
    guard let process = timer.process, !process.isZombie else { return }
    timer.expires = 0
    let late = now &- min(deadline, now)
    var missed: UInt64 = 0
    if timer.interval > 0 {
      missed = late / timer.interval
      let (next, overflow) = deadline.addingReportingOverflow(timer.interval &* (missed &+ 1))
      if !overflow { arm(timer, at: next, of: process) }
    }
    timer.overrun = Int32(truncatingIfNeeded: min(missed, UInt64(Int32.max)))
    guard timer.notify != 1, let target = timer.thread ?? process.leader else { return }
    let info = SignalInfo(
      timer.signal, code: SignalInfo.SI_TIMER,
      .timer(id: timer.id, overrun: timer.overrun, value: timer.value))
    send(info, to: target, group: timer.notify != 4)
  }

  /// Disarms everything: at a process's end.
  func cancelTimers(_ process: Process) {
    for which in 0...2 {
      process.intervalTimers[which].timer?.cancel()
      process.intervalTimers[which] = IntervalTimer()
    }
    deletePosixTimers(process)
  }

  /// What `execve` does to timers of `timer_create`.
  func deletePosixTimers(_ process: Process) {
    for timer in process.posixTimers.values { timer.timer?.cancel() }
    process.posixTimers = [:]
  }
}
