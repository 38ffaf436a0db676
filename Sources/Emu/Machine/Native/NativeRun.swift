import Engine
import Image
import TraceFile
import X86

#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

/// `emu trace --native`: a register trace of a program on the host's own processor.
public enum NativeRun {
  /// What the command line says.
  public struct Options {
    /// The program, looked for in the paths of `PATH` where it has no slash, and its arguments.
    public var program: [String] = []
    /// Where the trace goes.
    public var output = "native.emutrace"
    /// Most instructions.
    public var limit = UInt64.max
    /// Whether CPUID and XGETBV are the host's own.
    public var hasHostIdentification = false

    /// A program that has no name yet.
    public init() {}
  }

  /// Runs the program and writes its trace.
  public static func run(_ options: Options) -> RunReport {
    do throws(LaunchError) {
      return try trace(options)
    } catch {
      return error.report
    }
  }

  private static func trace(_ options: Options) throws(LaunchError) -> RunReport {
    guard let name = options.program.first else {
      throw LaunchError(description: "no program", status: RunReport.Status.usage)
    }
    let path = try resolve(name)
    let file: [UInt8]
    do throws(HostFileError) {
      file = try Host.contents(of: path)
    } catch {
      throw LaunchError(
        description: error.description,
        status: error.missing ? RunReport.Status.notFound : RunReport.Status.notExecutable)
    }
    guard ProgramArchitecture(elf: file) == .x86_64 else {
      throw LaunchError(
        description: "\(path): not an x86-64 ELF file, which --native runs on this host",
        status: RunReport.Status.notExecutable)
    }
    var log: NativeLogWriter?
    let tracer = try NativeTracer(
      NativeTracer.Program(
        path: path, arguments: options.program,
        hasHostIdentification: options.hasHostIdentification)
    ) { event in log?.add(event) }
    let writer: TraceWriter
    do throws(TraceFileError) {
      writer = try TraceWriter(options.output)
    } catch {
      throw LaunchError(description: error.description, status: RunReport.Status.failure)
    }
    var description = RunDescription()
    description["format"] = "native"
    description[RunDescription.instructionSet] = "x86_64"
    description["program"] = path
    description["program hash"] = SHA256.text(SHA256.hash(file))
    description["base"] = tracer.base(path).map { String($0, radix: 16) }
    for argument in options.program.dropFirst() { description.add("argument", argument) }
    writer.write(.configuration, description.encoded)
    let nativeLog = NativeLogWriter(writer)
    var end = NativeEnd.limit
    log = nativeLog
    tracer.onEnd = { end = $0 }
    tracer.run(limit: options.limit)
    nativeLog.flush()
    if let problem = writer.finish() { return RunReport(status: RunReport.Status.failure, problem) }
    let isWhole: Bool
    switch end {
    case .exited, .killed, .limit: isWhole = true
    case .interrupted, .thread, .mode, .lost: isWhole = false
    }
    return RunReport(
      status: isWhole
        ? 0 : end == .interrupted ? RunReport.Status.interrupted : RunReport.Status.failure,
      "\(options.output): \(grouped(nativeLog.insns)) instructions; the program \(end.text)")
  }

  /// A path as the kernel tells it of a mapping; the same one where there is no such file.
  private static func absolute(_ path: String) -> String {
    guard let found = realpath(path, nil) else { return path }
    defer { free(found) }
    return String(cString: found)
  }

  /// The file that a name stands for, as a shell finds it.
  private static func resolve(_ name: String) throws(LaunchError) -> String {
    if name.contains("/") { return absolute(name) }
    let paths = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
    for directory in paths.split(separator: ":") {
      let path = "\(directory)/\(name)"
      if access(path, X_OK) == 0 { return absolute(path) }
    }
    throw LaunchError(
      description: "\(name): no such program in PATH", status: RunReport.Status.notFound)
  }
}
