"""What `spark-submit` is given: the job is in the package, so that it is the workers' as well."""

from healthtrail.spark import main

if __name__ == "__main__":
    main()
