import Machine
import Synchronization

#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

/// `emu test`: files to results.
public enum ScenarioRun {
  /// What the command line says.
  public struct Options: Sendable {
    /// The files, in order.
    public var files: [String] = []
    /// The seeds that each scenario is run under; none: once, round robin.
    public var seeds: Range<UInt64>?
    /// Only scenarios whose name contains this.
    public var filter = ""
    /// The folder that traces of failures go to; `nil`: none are written.
    public var traces: String?

    /// Nothing yet.
    public init() {}
  }

  /// Statuses of `emu test`.
  public enum Status {
    /// All passed.
    public static let passed: Int32 = 0
    /// One failed.
    public static let failed: Int32 = 1
  }

  /// One scenario to run.
  public struct Job: Sendable {
    /// Its file.
    public var file: String
    /// It, ready to run.
    public var prepared: PreparedScenario
    /// Where the trace of a failure goes, but for its ending.
    public var traceFile: String?
  }

  /// Reads all files, prepares all scenarios, and picks those that are wanted.
  ///
  /// - Parameter options: what the command line says.
  /// - Returns: the scenarios in the order of the files.
  /// - Throws: the first thing that is wrong: then nothing is run.
  public static func jobs(_ options: Options) throws(ScenarioError) -> [Job] {
    var jobs: [Job] = []
    var names: Set<String> = []
    for path in options.files {
      let file = try ScenarioFile(path)
      for (index, scenario) in file.scenarios.enumerated() {
        guard options.filter.isEmpty || scenario.name.contains(options.filter) else { continue }
        do throws(HarnessError) {
          var job = Job(file: path, prepared: try PreparedScenario(scenario))
          job.traceFile = options.traces.map {
            $0 + "/" + traceName(scenario.name, path, &names)
          }
          jobs.append(job)
        } catch {
          throw file.error(error, of: index)
        }
      }
    }
    return jobs
  }

  /// A file's name for a scenario's trace: its own where that is the only one, else with its file's.
  private static func traceName(
    _ name: String, _ path: String, _ taken: inout Set<String>
  ) -> String {
    let stem = path.split(separator: "/").last.map { $0.prefix { $0 != "." } } ?? ""
    for candidate in [name, "\(stem)-\(name)"].map(TraceName.plain) {
      if taken.insert(candidate).inserted { return candidate }
    }
    var number = 2
    while true {
      let candidate = TraceName.plain("\(stem)-\(name)-\(number)")
      if taken.insert(candidate).inserted { return candidate }
      number += 1
    }
  }

  /// Runs one scenario under all seeds, until it fails.
  ///
  /// - Parameters:
  ///   - job: the scenario.
  ///   - seeds: the seeds; `nil`: once, round robin.
  ///   - isInterrupted: whether the user wants it to end.
  /// - Returns: what came of it.
  public static func run(
    _ job: Job, seeds: Range<UInt64>?, isInterrupted: @escaping () -> Bool
  ) -> ScenarioEntry {
    let watch = Stopwatch()
    let runner = ScenarioRunner(job.prepared)
    runner.isInterrupted = isInterrupted
    runner.traceFile = job.traceFile
    let result = seeds.map { runner.run(seeds: $0) } ?? runner.run()
    var entry = ScenarioEntry(
      file: job.file, name: job.prepared.scenario.name, result: result)
    entry.seeds = seeds.map { Int(clamping: $0.upperBound &- $0.lowerBound) } ?? 0
    entry.seconds = watch.seconds
    return entry
  }

  /// Runs scenarios, several at once.
  ///
  /// - Parameters:
  ///   - jobs: the scenarios.
  ///   - seeds: the seeds; `nil`: each once, round robin.
  ///   - count: how many run at once, each on a thread of its own.
  ///   - isInterrupted: whether the user wants it to end.
  /// - Returns: what came of those that were run, in the order of the jobs.
  public static func run(
    _ jobs: [Job], seeds: Range<UInt64>?, jobs count: Int,
    isInterrupted: @escaping @Sendable () -> Bool
  ) -> [ScenarioEntry] {
    let work = Work(jobs, seeds, isInterrupted)
    var threads: [pthread_t] = []
    for _ in 1..<max(min(count, jobs.count), 1) {
      var thread = pthread_t()
      let box = Unmanaged.passRetained(work)
      let code = pthread_create(
        &thread, nil,
        { raw in
          guard let raw else { return nil }
          Unmanaged<Work>.fromOpaque(raw).takeRetainedValue().run()
          return nil
        }, box.toOpaque())
      // Where no thread can be had the others do its work.
      if code == 0 { threads.append(thread) } else { box.release() }
    }
    work.run()
    for thread in threads { pthread_join(thread, nil) }
    return work.entries
  }

  /// What threads share: the jobs, and which is next.
  private final class Work: Sendable {
    private struct State {
      var next = 0
      var done: [ScenarioEntry?]
    }

    private let jobs: [Job]
    private let seeds: Range<UInt64>?
    private let isInterrupted: @Sendable () -> Bool
    private let state: Mutex<State>

    init(_ jobs: [Job], _ seeds: Range<UInt64>?, _ isInterrupted: @escaping @Sendable () -> Bool) {
      self.jobs = jobs
      self.seeds = seeds
      self.isInterrupted = isInterrupted
      state = Mutex(State(done: Array(repeating: nil, count: jobs.count)))
    }

    func run() {
      while !isInterrupted() {
        let index = state.withLock { state in
          state.next += 1
          return state.next - 1
        }
        guard index < jobs.count else { return }
        let entry = ScenarioRun.run(jobs[index], seeds: seeds, isInterrupted: isInterrupted)
        if entry.result.isInterrupted { return }
        state.withLock { $0.done[index] = entry }
      }
    }

    var entries: [ScenarioEntry] { state.withLock { $0.done.compactMap { $0 } } }
  }
}

/// Names of files that traces go to.
public enum TraceName {
  /// A name with nothing in it that a path, or a shell, takes for something else.
  public static func plain(_ name: String) -> String {
    let plain = name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
    return plain.isEmpty ? "scenario" : String(plain.prefix(100))
  }
}
